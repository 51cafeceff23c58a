# The cache of compiled code: sh tests/cache.sh MODEL. Results never depend on it; see runtime/code_cache.h.
. "$(dirname "$0")/common.sh"
model=$1
export XDG_CACHE_HOME="$work/cache"
kept=$work/cache/retc/cpu
vocabulary=$(sed -n 's/^ *"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")
"$TOOLS/tokens" random "$work/tokens" 1 1 20 "$vocabulary"

evaluate() {
  out=$1
  shift
  "$FAST" eval "$model" --tokens "$work/tokens" --form session --out "$out" "$@"
}
same() {
  "$TOOLS/compare" equal "$work/plain" "$1" >/dev/null || fail "$2: other results than without the cache"
}
count() {
  found=$(ls -A "$kept" | wc -l)
  [ "$found" = "$1" ] || fail "$2: $found files are kept, expected $1: $(ls -A "$kept")"
}

RETC_CACHE=off evaluate "$work/plain"
[ ! -e "$work/cache" ] || fail "RETC_CACHE=off: something was kept"

for writer in 1 2 3 4; do evaluate "$work/out.$writer" & done
wait
for writer in 1 2 3 4; do same "$work/out.$writer" "writer $writer of four at a time"; done
count 1 "four writers at a time"

entry=$kept/$(ls "$kept")
cp "$entry" "$work/entry"
touch -d 2001-01-01 "$entry"
evaluate "$work/out"
same "$work/out" "a second run"
[ "$(date -r "$entry" +%Y)" = 2001 ] || fail "a second run wrote the entry again"

size=$(wc -c <"$work/entry")
damage() {
  evaluate "$work/out" || fail "$1: status $?"
  same "$work/out" "$1"
  [ "$(wc -c <"$entry")" = "$size" ] || fail "$1: the entry was not made again"
  evaluate "$work/out"
  same "$work/out" "$1, and again"
}
: >"$entry"
damage "an empty entry"
head -c $((size / 2)) "$work/entry" >"$entry"
damage "half an entry"
echo more >>"$entry"
damage "an entry with something behind it"
for place in 3 20 $((size / 2)) $((size - 1)); do
  byte=$(od -An -tu1 -j $place -N 1 "$work/entry")
  cp "$work/entry" "$entry"
  printf "\\$(printf %o $(((byte + 1) % 256)))" | dd of="$entry" bs=1 seek=$place conv=notrunc status=none
  damage "byte $place changed"
done
count 1 "damaged entries"

evaluate "$work/out" --cpu x86-64-v2
same "$work/out" "another CPU"
count 2 "another CPU"

"$FAST" dump "$model" --emit asm >"$work/cached.s"
RETC_CACHE=off "$FAST" dump "$model" --emit asm >"$work/plain.s"
cmp "$work/cached.s" "$work/plain.s" || fail "a dump depends on the cache"

XDG_CACHE_HOME=/proc/nowhere evaluate "$work/out"
same "$work/out" "a folder that cannot be made"
env -u XDG_CACHE_HOME -u HOME "$FAST" eval "$model" --tokens "$work/tokens" --form session --out "$work/out"
same "$work/out" "no home"
echo "the cache holds $(ls "$kept" | wc -l) entries of $size bytes"
