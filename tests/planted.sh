# A mistake in one pass is found, and named: sh tests/planted.sh wrong|invalid PROGRAM
# PROGRAM is retc with tools/planted_pass.c.
. "$(dirname "$0")/common.sh"
planted=$2
model=$source/tests/cases/fla-tiny
passes="expand simplify fuse schedule lower math memory"

# run STATUS COMMAND...
run() {
  wanted=$1
  shift
  status=0
  "$@" >"$work/stdout" 2>"$work/stderr" </dev/null || status=$?
  [ $status = "$wanted" ] || fail "status $status, expected $wanted: $*: $(cat "$work/stderr")"
}

# A program that computes something else is one all the same: only the comparison before and after the pass tells.
wrong() {
  "$RETC" dump "$model" --after import >"$work/program"
  for pass in $passes; do
    export RETC_PLANTED=$pass:wrong
    echo "$pass"
    run 1 "$planted" opt "$work/program" --to memory --check
    [ "$(grep -c DIFFERS "$work/stderr")" = 1 ] && grep -q "^$pass  *DIFFERS" "$work/stderr" ||
      fail "opt --check does not find pass $pass alone: $(cat "$work/stderr")"
    [ $pass = fuse ] || continue # a dozen seconds each, and the same comparison
    run 1 "$planted" verify "$model"
    tail -n 1 "$work/stdout" >"$work/verdict"
    grep -q "pass $pass, change of" "$work/verdict" || fail "verify does not name pass $pass: $(cat "$work/verdict")"
    for other in $passes; do
      [ $other = $pass ] || ! grep -q "pass $other," "$work/verdict" || fail "verify blames pass $other for $pass"
    done
  done
  unset RETC_PLANTED
  run 0 "$planted" opt "$work/program" --to memory --check
}

# left STAGE COMMAND...: it leaves a file with the program before the stage, what to run, what it said, and how to repeat it.
left() {
  stage=$1
  shift
  rm -rf "$work"/left/* "$work/out"
  run 1 "$planted" "$@"
  cp "$work/stderr" "$work/first"
  [ ! -e "$work/out" ] || fail "$stage: a directory was left behind"
  [ "$(ls "$work/left" | wc -l)" = 1 ] || fail "$stage, $*: left behind: $(ls "$work/left"), $(cat "$work/first")"
  file=$(echo "$work"/left/*)
  case ${file##*/} in
    retc-reproducer-$stage-*.graph | retc-reproducer-$stage-*.kernel) ;;
    *) fail "$stage: the file is called $file" ;;
  esac
  grep -q "retc opt $file\$" "$work/first" || fail "$stage: it is not said how to repeat it: $(cat "$work/first")"
  grep -q "^#   retc opt $file\$" "$file" || fail "$stage: the file does not say how to repeat it"
  grep -q "^# It worked with: form .*, padding .*chunk length.*, [CG]PU " "$file" || fail "$stage: no options: $(head "$file")"
  grep -q "^program .*run=\[$stage\].* machine=\[" "$file" || fail "$stage: the file does not say what to run"
  said="the program is wrong after pass $stage"
  case $stage in llvm | hip) said="the backend refuses kernel" ;; esac
  grep -q "$said" "$work/first" && grep -q "^#   .*$said" "$file" || fail "$stage: $(cat "$work/first")"
  # Text as any other; what it asks for fails the same way, and is no error any more where retc has none.
  run 1 "$planted" opt "$file"
  grep -q "$said" "$work/stderr" || fail "$stage, repeated: $(cat "$work/stderr")"
  RETC_PLANTED= run 0 "$planted" opt "$file"
}

invalid() {
  mkdir "$work/left"
  export RETC_REPRODUCER_DIR=$work/left RETC_CACHE=off
  for pass in $passes llvm; do
    export RETC_PLANTED=$pass:invalid
    left $pass compile "$model" --chunk 24 -o "$work/out"
    left $pass run "$model" --prompt-tokens 1,2 -n 1
    left $pass verify "$model"
  done
  for pass in lower memory hip; do
    export RETC_PLANTED=$pass:invalid
    left $pass compile "$model" --target hip -o "$work/out"
  done
  # Where no file can be written, the message comes all the same.
  export RETC_REPRODUCER_DIR=$work/nowhere RETC_PLANTED=llvm:invalid
  run 1 "$planted" compile "$model" -o "$work/out"
  grep -q "the backend refuses" "$work/stderr" && grep -q "$work/nowhere" "$work/stderr" || fail "$(cat "$work/stderr")"
}

"$1"
