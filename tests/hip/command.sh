# `--target hip` of the program: on the emulated GPU, on other cards than retc knows, on none: sh tests/hip/command.sh DIR
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
case=$1
golden=$case/golden.safetensors
export XDG_CACHE_HOME="$work/cache"

run() { "$RETC" run "$case" --prompt-tokens 1,2,3,4,5 -n 6 "$@"; }

# The same tokens as a CPU, with the launches of a graph from the second step on.
run >"$work/cpu" 2>/dev/null
run --target hip >"$work/gpu" 2>/dev/null || fail "run --target hip"
cmp "$work/cpu" "$work/gpu" || fail "another text than the CPU's"

run --temperature 1.2 --top-k 60 --top-p 0.9 --seed 4 >"$work/cpu" 2>/dev/null
run --temperature 1.2 --top-k 60 --top-p 0.9 --seed 4 --target hip >"$work/gpu" 2>/dev/null || fail "run --temperature"
cmp "$work/cpu" "$work/gpu" || fail "other tokens than the CPU's"

# The kernels interpreted are the kernels that run, bit for bit, on waves of 64 and of 32.
for arch in gfx90a gfx1100; do
  for engine in jit kernel; do
    RETC_EMULATOR_ARCH=$arch "$FAST" eval "$case" --tokens "$golden" --form session --target hip --arch $arch \
      --engine $engine --out "$work/$engine" || fail "eval --engine $engine"
  done
  "$TOOLS/compare" equal "$work/jit" "$work/kernel" || fail "other bits than the interpreter's on $arch"
done

# Programs that are no RetNet: what the CPU gives.
for output in mlp:probabilities gated_retention:y custom_head:probabilities; do
  program=${output%:*}
  file=$source/../examples/programs/$program
  "$FAST" run "$file.graph" --inputs "$file.safetensors" --out "$work/cpu" 2>/dev/null &&
    "$FAST" run "$file.graph" --inputs "$file.safetensors" --target hip --out "$work/gpu" 2>"$work/stderr" ||
    { cat "$work/stderr"; fail "$program"; }
  "$TOOLS/compare" tensor ${output#*:} "$work/cpu" "$work/gpu" 1e-6 || fail "$program gives something else"
done

"$FAST" bench "$case" --target hip --prompt 8 --tokens 2 --rounds 1 >"$work/stdout" || fail "bench --target hip"
grep -q "^GPU .*emulated gfx90a, gfx90a; copies on it reach" "$work/stdout" || fail "bench tells of no GPU"
grep -q "^decode .* % of reads" "$work/stdout" || fail "bench tells of no decoding"

# Code objects beside the text, by a program that may be named.
printf '#!/bin/sh\nwhile [ "$1" != -o ]; do case $1 in --offload-arch=*) arch=${1#*=};; esac; shift; done\n%s\n' \
  'echo "code for $arch" >"$2"' >"$work/hipcc"
chmod +x "$work/hipcc"
compile() { RETC_HIPCC="$work/hipcc" "$RETC" compile "$case" --target hip -o "$work/compiled" "$@"; }
compile --arch gfx942,gfx1100 --emit hip,code 2>/dev/null || fail "compile --emit code"
[ "$(ls "$work/compiled")" = "$(printf '%s\n' model.gfx1100.co model.gfx942.co model.hip)" ] || fail "$(ls "$work/compiled")"
[ "$(cat "$work/compiled/model.gfx942.co")" = "code for gfx942" ] || fail "model.gfx942.co"
expect_words 1 "hip: no compiler for gfx90a: no hiprtc was asked, and no program /nowhere/hipcc was found" env RETC_HIPCC=/nowhere/hipcc "$RETC" \
  compile "$case" --target hip --arch gfx90a --emit code -o "$work/none"
[ ! -e "$work/none" ] || fail "files of a compilation that failed"
expect_words 2 'compile: --emit: found "cod", did you mean "code"? expected one of: hip, plan, code' compile --emit cod
expect_words 2 'expected one of: llvm, asm, object, plan' "$RETC" compile "$case" --emit code -o "$work/none"

none() { RETC_EMULATOR_ARCH=none run --target hip; }
other() { RETC_EMULATOR_ARCH=gfx1030 run --target hip; }
small() { RETC_EMULATOR_MEMORY=100000 run --target hip; }
absent() { RETC_HIP_LIBRARY=/nowhere/libamdhip64.so run --target hip; }
expect_words 1 "hip: no GPU that HIP can use: hipErrorNoDevice" none
expect_words 1 "hip: the device is a gfx1030 (emulated gfx1030), expected one of gfx90a, gfx942, gfx1100, gfx1201" other
expect_words 1 "bytes of device memory wanted" small
expect_words 1 "hipErrorOutOfMemory (out of memory)" small
expect_words 1 "RETC_HIP_LIBRARY is no library that can be loaded" absent
expect_words 1 "which is not among --arch gfx942" run --target hip --arch gfx942
expect_words 2 "gfx90b" run --target hip --arch gfx90b
expect_words 2 "--arch names GPUs, it goes with --target hip" run --arch gfx90a
expect_words 2 "--target" run --target gpu
