# Builds the fuzz targets in build/fuzz and runs each, or those named, from the files of the cases and golden tests as seeds:
# sh tests/fuzz/run.sh SECONDS [config] [safetensors] [program] [kernel]
# Status 1 when there is a finding: the input is kept in build/fuzz/findings. 77 without clang-19 or its libFuzzer.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$source/build/fuzz
seconds=${1:?"usage: sh tests/fuzz/run.sh SECONDS [READER...]"}
shift
readers=${*:-config safetensors program kernel}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What counts is whether a target can be linked, not which files are where.
echo 'int LLVMFuzzerTestOneInput(const char *data, long size); int LLVMFuzzerTestOneInput(const char *data, long size) {
  (void)data; return size < 0; }' >"$work/probe.c"
if ! clang-19 -fsanitize=fuzzer,address,undefined "$work/probe.c" -o "$work/probe" >"$work/probe.log" 2>&1; then
  cat "$work/probe.log"
  echo "SKIPPED: no clang-19 with libFuzzer (Debian's clang-19 and libclang-rt-19-dev)"
  exit 77
fi

sh "$source/tests/build.sh" fuzz -DCMAKE_C_COMPILER=clang-19 \
  -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRETC_FUZZ=ON

mkdir -p "$work/config" "$work/safetensors" "$work/program" "$work/kernel" "$build/findings"
cp "$source"/tests/fuzz/seeds/* "$work/safetensors"
for config in "$source"/tests/cases/*/config.json; do
  folder=${config%/config.json}
  name=${folder##*/}
  cp "$config" "$work/config/$name"
  [ -f "$folder/model.safetensors" ] || continue
  # A header as the file begins, with its length, and alone.
  length=$(od -An -tu8 -N8 "$folder/model.safetensors" | tr -d ' ')
  head -c $((length + 8)) "$folder/model.safetensors" >"$work/safetensors/$name"
  tail -c +9 "$work/safetensors/$name" >"$work/safetensors/$name.header"
done

# Program texts are the inputs of the golden tests and what they print.
find "$source/tests/golden" -name '*.test' | sort | awk -v folder="$work" '
  function flush() { if (text != "") { printf "%s", text >file; close(file) } text = "" }
  function start(suffix) { flush(); file = folder "/program/" count suffix }
  {
    count++
    start(".input")
    head = 1
    while ((getline line <$0) > 0) {
      if (line ~ /^--EXPECT/) { start(".output"); head = 0; continue }
      if (head && line ~ /^#/) continue
      head = 0
      text = text line "\n"
    }
    close($0)
    flush()
  }'
for text in "$work"/program/*; do
  sed -n '/^kernel /,$p' "$text" >"$work/kernel/${text##*/}"
  [ -s "$work/kernel/${text##*/}" ] || rm "$work/kernel/${text##*/}"
done
# The words of both languages are those of their tables.
sed -n 's/^RETC_\(OP\|KERNEL_OP\|DIM\|DTYPE\)([A-Z0-9_]*, "\([^"]*\)".*/"\2"/p' "$source"/ir/*.def "$source"/base/*.def |
  cat - "$source/tests/fuzz/text.dict" >"$work/text.dict"

status=0
for reader in $readers; do
  case $reader in
    config | safetensors) words=$source/tests/fuzz/$reader.dict ;;
    *) words=$work/text.dict ;;
  esac
  echo "fuzz_$reader, $seconds s"
  if TMPDIR=$work "$build/tests/fuzz/fuzz_$reader" -max_total_time="$seconds" -timeout=100 -rss_limit_mb=2048 \
    -max_len=16384 -dict="$words" -artifact_prefix="$build/findings/$reader-" \
    -print_final_stats=1 -verbosity=0 "$work/$reader" >"$work/log" 2>&1
  then
    grep -E 'stat::(number_of_executed_units|peak_rss_mb)' "$work/log"
  else
    cat "$work/log"
    status=1
  fi
done
exit $status
