"""Decoding on an NVIDIA card, retc beside PyTorch in one run, as the table of docs/performance.md: decode.py [options].

retc's kernels for AMD GPUs run there through tests/gpu/cuda: RETC names the program, RETC_HIP_LIBRARY the library made of it.
"""

import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "bench", "configs", "1.3b.json")


def run_json(words):
    done = subprocess.run(words, text=True, capture_output=True)
    if done.returncode:
        print(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def bench(a, batch, tokens, math, options):
    """What retc bench reports."""
    words = [os.environ.get("RETC", "build/gpu/retc"), "bench", a.config, "--target", "hip", "--batch", batch]
    words += ["--prompt", str(a.prompt), "--tokens", str(tokens), "--rounds", str(a.rounds), "--math", math, "--json"]
    return run_json(words + options)


def row(batch, what, ms, share, best):
    beside = f"{best / ms:.2f} x" if best else "-"
    print(f"| {batch} | {what} | {ms:.3f} | {share} | {beside} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--batches", default="1,16,64")
    parser.add_argument("--maths", default="f32,bf16", help="of retc's products")
    parser.add_argument("--weights", default="", help="other types than the config's, of retc")
    parser.add_argument("--no-torch", action="store_true")
    for name, default in (("prompt", 16), ("tokens", 64), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    torch = {}
    if not a.no_torch:
        torch = run_json([sys.executable, os.path.join(HERE, "torch_decode.py"), a.config, "--batches", a.batches]) or {}
    print(f"PyTorch {torch.get('torch', '(not run)')} on {torch.get('gpu', '?')}")
    print("| batch | | ms a step | share of copy bandwidth | faster than the best PyTorch |\n|---|---|---|---|---|")
    ceilings, slow = [], []
    for batch in a.batches.split(","):
        modes = torch.get(batch, {})
        best = min(modes.values(), default=None)
        for mode, ms in modes.items():
            row(batch, f"PyTorch, {mode}", ms, "-", None)
        for weights in [""] + [w for w in a.weights.split(",") if w]:
            for math in a.maths.split(","):
                found = bench(a, batch, a.tokens, math, ["--weights", weights] if weights else [])
                if not found:
                    continue
                decode = found["decode"]
                ms = 1e3 * int(batch) / decode["tokens_per_s"]
                ceilings.append(decode["ceiling_gbps"])
                row(batch, f"retc, math {math}" + (f", weights {weights}" if weights else ""), ms,
                    f"{100 * decode['share_of_bandwidth']:.0f} %", best)
                if best and ms >= best:
                    slow.append(f"batch {batch}, math {math}")
    if ceilings:
        print(f"\nA copy on the device moves {min(ceilings):.0f} to {max(ceilings):.0f} GB/s, read and written bytes counted.")
    for what in slow:
        print(f"slower than PyTorch: {what}")


if __name__ == "__main__":
    main()
