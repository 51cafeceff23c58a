# Writes files as C strings: cmake -DOUT=FILE.c -DHEADER=FILE.h -DSTRINGS="NAME=FILE,FILE...;NAME=FILE..." -P embed.cmake
# HEADER declares them, const char NAME[]; files are joined in the order given. Bytes are written as numbers, so that no
# text can end the string.
set(code "#include \"${HEADER}\"\n")
foreach(string IN LISTS STRINGS)
  string(REGEX MATCH "^([^=]*)=(.*)$" string "${string}")
  set(name ${CMAKE_MATCH_1})
  string(REPLACE "," ";" files "${CMAKE_MATCH_2}")
  set(all "")
  foreach(file IN LISTS files)
    file(READ ${file} bytes HEX)
    string(APPEND all ${bytes})
  endforeach()
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," numbers "${all}")
  string(APPEND code "const char ${name}[] = {\n${numbers}0};\n")
endforeach()
file(WRITE ${OUT} "${code}")
