# What the program does beside computing: where data and words go, exit statuses, files on disk.
. "$(dirname "$0")/common.sh"
bytes=$source/examples/shakespeare
ids=$source/tests/cases/fla-tiny

# expect STATUS COMMAND...: stdout and stderr in $work.
expect() {
  wanted=$1
  shift
  status=0
  "$@" >"$work/stdout" 2>"$work/stderr" </dev/null || status=$?
  [ $status = "$wanted" ] || fail "status $status, expected $wanted: $*: $(cat "$work/stderr")"
}

# help and version
expect 0 "$RETC" --version
grep -q '^retc [0-9]' "$work/stdout" || fail "--version says $(cat "$work/stdout")"
expect 0 "$RETC" --help
commands=$(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/stdout")
[ -n "$commands" ] || fail "--help lists no commands"
for command in $commands; do
  expect 0 "$RETC" "$command" --help
  grep -q "^usage: retc $command" "$work/stdout" || fail "$command --help does not begin with its usage"
  [ ! -s "$work/stderr" ] || fail "$command --help writes to stderr"
done
expect 2 "$RETC"
[ ! -s "$work/stdout" ] && grep -q '^usage: retc' "$work/stderr" || fail "without a command there is no usage on stderr"

# run: text on stdout, words on stderr
expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 0
[ ! -s "$work/stdout" ] || fail "-n 0 wrote something"
expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 40
[ "$(wc -c <"$work/stdout")" = 40 ] || fail "40 bytes were asked for, $(wc -c <"$work/stdout") came"
cp "$work/stdout" "$work/greedy"
expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 40 --temperature 0 --threads 1
cmp "$work/greedy" "$work/stdout" || fail "--temperature 0 is not greedy"
expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 40 --temperature 1 --top-k 1 --seed 9
cmp "$work/greedy" "$work/stdout" || fail "--top-k 1 is not greedy"
for run in 1 2; do
  expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 40 --temperature 1 --seed 7
  cp "$work/stdout" "$work/seed7.$run"
done
cmp "$work/seed7.1" "$work/seed7.2" || fail "one seed gave two texts"
expect 0 "$RETC" run "$bytes" --prompt ROMEO: -n 40 --temperature 1 --seed 8
! cmp -s "$work/seed7.1" "$work/stdout" || fail "two seeds gave one text"
expect 0 "$RETC" run "$ids" --prompt-tokens 1,2,3 -n 5
[ "$(wc -w <"$work/stdout")" = 5 ] || fail "--prompt-tokens: expected five ids, found $(cat "$work/stdout")"

# Random weights: of a bare description only, the same ones in every engine, others with another seed.
for seed in 1 2; do
  expect 0 "$RETC" run "$ids/config.json" --random-weights $seed --prompt-tokens 1,2,3 -n 20
  cp "$work/stdout" "$work/random.$seed"
done
! cmp -s "$work/random.1" "$work/random.2" || fail "two seeds gave the same random weights"
"$TOOLS/tokens" ids "$work/some" 5,6,7,8
for engine in jit kernel graph; do
  expect 0 "$RETC" eval "$ids/config.json" --random-weights 1 --engine $engine --tokens "$work/some" --form session \
    --out "$work/random.$engine"
done
"$TOOLS/compare" equal "$work/random.jit" "$work/random.kernel" || fail "engines have different random weights"
expect 2 "$RETC" run "$ids" --random-weights 1 --prompt-tokens 1,2,3
grep -q 'has weights' "$work/stderr" || fail "random weights beside a checkpoint: $(cat "$work/stderr")"

# A reader that goes away is no reason for noise.
{
  status=0
  "$RETC" run "$bytes" --prompt ROMEO: -n 2000 2>"$work/stderr" || status=$?
  echo $status >"$work/status"
} | head -c 1 >"$work/stdout"
[ "$(cat "$work/status")" = 1 ] || fail "closed stdout: status $(cat "$work/status"), expected 1"
[ ! -s "$work/stderr" ] || fail "closed stdout: $(cat "$work/stderr")"
if [ -c /dev/full ]; then
  status=0
  "$RETC" ops >/dev/full 2>"$work/stderr" || status=$?
  [ $status = 1 ] && [ -s "$work/stderr" ] || fail "full disk: status $status, expected 1 and a message"
fi

# eval: the loss is the last line on stdout; labels are the ids unless they are given
"$TOOLS/tokens" ids "$work/ids" 5,6,7,8
"$TOOLS/tokens" beside "$work/labels" "$work/ids" labels 5,6,7,8
"$TOOLS/tokens" beside "$work/others" "$work/ids" labels 5,6,9,8
for name in ids labels others; do
  expect 0 "$RETC" eval "$ids" --tokens "$work/$name" --form parallel --loss
  [ "$(grep -cE '^loss [0-9.]+$' "$work/stdout")" = "$(wc -l <"$work/stdout")" ] || fail "loss: $(cat "$work/stdout")"
  cp "$work/stdout" "$work/loss.$name"
done
cmp "$work/loss.ids" "$work/loss.labels" || fail "labels equal to the ids change the loss"
! cmp -s "$work/loss.ids" "$work/loss.others" || fail "labels do not change the loss"

# attention_mask: of ones it changes nothing, on the left it does; the chunkwise form ignores it and says so
"$TOOLS/tokens" beside "$work/ones" "$work/ids" attention_mask 1,1,1,1
"$TOOLS/tokens" beside "$work/padded" "$work/ids" attention_mask 0,0,1,1
for form in recurrent chunkwise; do
  for name in ids ones padded; do
    expect 0 "$RETC" eval "$ids" --tokens "$work/$name" --form $form --out "$work/out.$name"
    [ ! -s "$work/stdout" ] || fail "--out alone writes to stdout"
    ignored=$(grep -c 'attention_mask is ignored' "$work/stderr" || true)
    [ $form.$name = chunkwise.padded ] && wanted=1 || wanted=0
    [ "$ignored" = $wanted ] || fail "$form, $name: $(cat "$work/stderr")"
  done
  "$TOOLS/compare" equal "$work/out.ids" "$work/out.ones" || fail "a mask of ones changes the $form form"
done
"$TOOLS/compare" equal "$work/out.ids" "$work/out.padded" || fail "the chunkwise form does not ignore the mask"
expect 0 "$RETC" eval "$ids" --tokens "$work/ids" --form recurrent --out "$work/out.ids"
expect 0 "$RETC" eval "$ids" --tokens "$work/padded" --form recurrent --out "$work/out.padded"
! "$TOOLS/compare" equal "$work/out.ids" "$work/out.padded" >"$work/stdout" || fail "padding changes nothing"

# compile: whole files, over older ones too
for round in 1 2; do
  expect 0 "$RETC" compile "$ids" -o "$work/compiled"
  [ "$(ls "$work/compiled" | tr '\n' ' ')" = "model.ll model.o model.s plan.json " ] ||
    fail "compile wrote: $(ls "$work/compiled")"
  for file in "$work"/compiled/*; do [ -s "$file" ] || fail "compile wrote an empty $file"; done
done
# Code that a program must ask its system for tiles for says so, wherever it is made.
if [ "$(uname -m)" = x86_64 ]; then
  for cpu in sapphirerapids sapphirerapids,no-tiles; do
    expect 0 "$RETC" compile "$ids" --math bf16 --cpu $cpu --emit asm,plan -o "$work/$cpu"
  done
  grep -q '"needs": "tiles' "$work/sapphirerapids/plan.json" || fail "the plan does not say that its code has tiles"
  grep -q tdpbf16ps "$work/sapphirerapids/model.s" || fail "there are no tiles in the code"
  ! grep -q 'tdpbf16ps\|"needs"' "$work/sapphirerapids,no-tiles/"* || fail "there are tiles without being asked for"
  # So does the plan of a text, which has its arithmetic in its operations.
  printf '%s\n' 'graph f {' '  %x = input kind=input : f32[B,T,32]' '  %w = input kind=weight : bf16[64,32]' \
    '  %o = contract_bf16 %x, %w order=tiles : f32[B,T,64]' '  output o = %o' '}' >"$work/tiles.graph"
  expect 0 "$RETC" compile "$work/tiles.graph" --cpu sapphirerapids --emit plan -o "$work/tiles"
  grep -q '"needs": "tiles' "$work/tiles/plan.json" || fail "the plan of a text does not say that its code has tiles"
fi
# A bare description needs no weights.
expect 0 "$RETC" compile "$ids/config.json" -o "$work/bare"
expect 0 "$RETC" dump "$ids/config.json"
[ -s "$work/stdout" ] || fail "dump printed nothing"

# ops: every operation that a graph is made of is listed
expect 0 "$RETC" ops
for operation in $(sed -n 's/^RETC_OP([A-Z0-9_]*, "\([a-z0-9_]*\)".*/\1/p' "$source/ir/graph_ops.def"); do
  grep -qw "$operation" "$work/stdout" || fail "ops does not list $operation"
done
expect 0 "$RETC" ops --markdown
grep -q '^|' "$work/stdout" || fail "ops --markdown has no table"
