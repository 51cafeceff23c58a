# Wrong input gets status 2, one message and nothing else: sh tests/bad.sh [--bless] FILE.test
#
# A test is a file: shell up to a line --EXPECT--, then the message. The shell runs inside a copy of a small model ($DIR,
# also the working directory) and damages it. It has these words:
#   base CASE           starts from that case of tests/cases in place of fla-tiny
#   config KEY JSON     gives a key of config.json another value
#   key KEY JSON        gives config.json a key more
#   edit COMMAND ...    edits model.safetensors ("$EDIT" edits any file), see tests/tools/edit_safetensors.c
#   set -- ...          the arguments of retc; without it the model is evaluated on its golden tokens
# In messages the folder is written $DIR, the project's $SOURCE. --bless rewrites what is expected; read it afterwards.
. "$(dirname "$0")/common.sh"
EDIT=$TOOLS/edit_safetensors
DIR=$work/model
OUT=$work/out/result

base() {
  rm -f "$DIR"/*
  cp "$source/tests/cases/$1"/*.json "$source/tests/cases/$1"/*.safetensors "$DIR"
}
config() {
  grep -q "^ *\"$1\": " config.json || { echo "config.json has no $1"; exit 90; }
  sed -i "s|^\( *\)\"$1\": [^,]*\(,*\)$|\1\"$1\": $2\2|" config.json
}
key() { sed -i "1s|{|{ \"$1\": $2,|" config.json; }
edit() {
  command=$1
  shift
  "$EDIT" "$command" model.safetensors "$@"
}

# Leaves the message in $work/found; fails when the program did more or less than complain.
provoke() {
  mkdir -p "$DIR" "$work/out"
  base fla-tiny
  sed '/^--EXPECT--$/,$d' "$1" >"$work/script"
  # Not "( ... ) || status=$?": that would let the shell of a test go on after an error.
  set +e
  (
    set -e
    cd "$DIR"
    set -- eval "$DIR" --tokens "$DIR/golden.safetensors" --form parallel --out "$OUT"
    . "$work/script" >&2
    exec "$RETC" "$@" >"$work/stdout" 2>"$work/stderr"
  )
  status=$?
  set -e
  [ -f "$work/stderr" ] || fail "$1: the shell ended with $status before retc was run"
  sed "s|$work/model|\$DIR|g; s|$work/out|\$OUT|g; s|$source|\$SOURCE|g" "$work/stderr" >"$work/found"
  [ $status = 2 ] || fail "$1: status $status, expected 2; stderr: $(cat "$work/found")"
  [ "$(wc -l <"$work/found")" = 1 ] || fail "$1: expected one line on stderr, found: $(cat "$work/found")"
  [ ! -s "$work/stdout" ] || fail "$1: something was written to stdout: $(head -c 300 "$work/stdout")"
  [ -z "$(ls -A "$work/out")" ] || fail "$1: something was left behind: $(ls -A "$work/out")"
}

if [ "$1" = --bless ]; then
  provoke "$2"
  { cat "$work/script"; echo --EXPECT--; cat "$work/found"; } >"$work/blessed"
  cmp -s "$work/blessed" "$2" || { cat "$work/blessed" >"$2"; echo "blessed $2"; }
else
  provoke "$1"
  sed '1,/^--EXPECT--$/d' "$1" | diff - "$work/found" || fail "$1: another message than expected (<)"
fi
