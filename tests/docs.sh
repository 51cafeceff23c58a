# A document says what is so: sh tests/docs.sh [--bless] FILE.md
#   ```console   commands behind "$ ", run in the project's folder, and what they print; "$ retc" is the program
#   ```retc      program text: it is read, and printed the same
#   <!-- COMMAND --> up to <!-- end --> what the command prints
# --bless rewrites what commands print; read it afterwards.
. "$(dirname "$0")/common.sh"
bless=
[ "$1" != --bless ] || { bless=yes; shift; }
document=$1
mkdir "$work/bin" "$work/texts"
ln -s "$RETC" "$work/bin/retc"
PATH=$work/bin:$PATH

# What the commands print is left out and made again; the program texts are cut out.
cat >"$work/again.awk" <<'PROGRAM'
function print_output(command,   line) {
  command = "{ " command "; } </dev/null 2>&1"
  while ((command | getline line) > 0) print line
  close(command)
}
/^```console$/ { block = "console" }
/^```retc$/ { block = "text"; file = folder "/" ++texts; print; next }
/^```$/ { if (block) { block = ""; print; next } }
block == "console" && !/^\$ / && !/^```/ { next }
block == "text" { print >file }
/^<!-- end -->$/ { generated = 0 }
generated { next }
{ print }
block == "console" && /^\$ / { commands++; print_output(substr($0, 3)) }
/^<!-- retc .* -->$/ { commands++; generated = 1; print_output(substr($0, 6, length($0) - 9)) }
END {
  if (block || generated) { print "a block has no end" >"/dev/stderr"; exit 1 }
  print commands + 0, texts + 0 >"/dev/stderr"
}
PROGRAM
cd "$source"
awk -v folder="$work/texts" -f "$work/again.awk" "$document" >"$work/again" 2>"$work/counts" || fail "$(cat "$work/counts")"
read -r commands texts <"$work/counts"
[ $((commands + texts)) -gt 0 ] || fail "$document: nothing to check"

for text in "$work"/texts/*; do
  [ -f "$text" ] || continue
  "$RETC" opt "$text" >"$work/printed" || fail "$document: this text is not read: $(cat "$text")"
  diff "$text" "$work/printed" || fail "$document: this text is printed otherwise (>)"
done
! cmp -s "$document" "$work/again" || { echo "$commands commands, $texts texts"; exit 0; }
[ -n "$bless" ] || { diff "$document" "$work/again" || fail "$document: commands print something else (>)"; }
cat "$work/again" >"$document"
echo "blessed $document"
