"""Reading a prompt on an NVIDIA card, retc beside PyTorch in one run: prefill.py [options]; logits of the last position.

retc's kernels for AMD GPUs run there through tests/gpu/cuda: RETC names the program, RETC_HIP_LIBRARY the library made of it,
in which cuBLAS stands for rocBLAS.
"""

import argparse
import os
import sys

from decode import CONFIG, HERE, bench, run_json


def row(batch, what, tokens, ms, flop, peak, best):
    share = f"{1e-9 * flop / ms:.0f}" if flop else "-"
    of_peak = f"{100e-9 * flop / ms / peak:.0f} %" if flop and peak else "-"
    beside = f"{best / ms:.2f} x" if best else "-"
    print(f"| {batch} | {what} | {ms:.2f} | {1e3 * tokens / ms:.0f} | {share} | {of_peak} | {beside} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--modes", default="eager,eager + graph,compile + graph", help="of PyTorch")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--kernels", type=int, default=0, help="how many of retc's kernels are printed, by time")
    for name, default in (("prompt", 2048), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    torch = {}
    if not a.no_torch:
        words = [sys.executable, os.path.join(HERE, "torch_prefill.py"), a.config, "--batches", a.batches]
        torch = run_json(words + ["--prompt", str(a.prompt), "--modes", a.modes]) or {}
    peak = torch.get("peak_tflops")
    print(f"PyTorch {torch.get('torch', '(not run)')} on {torch.get('gpu', '?')}; a product of bf16 reaches {peak} TFLOP/s")
    print("| batch | | ms | tokens/s | TFLOP/s | of the product's | faster than the best PyTorch |")
    print("|---|---|---|---|---|---|---|")
    copies, kernels = [], []
    for batch in a.batches.split(","):
        tokens, found = int(batch) * a.prompt, {}
        for what, options in (("own kernels", []), ("with the vendor's BLAS", ["--blas"])):
            found[what] = bench(a, batch, 0, "bf16", ["--profile", *options])
        flop = next((1e9 * f["prefill"]["gflops"] * tokens / f["prefill"]["tokens_per_s"] for f in found.values() if f), 0)
        modes = torch.get(batch, {})
        best = min(modes.values(), default=None)
        for mode, ms in modes.items():
            row(batch, f"PyTorch, {mode}", tokens, ms, flop, peak, None)
        for what, report in found.items():
            if not report:
                continue
            row(batch, f"retc, {what}", tokens, 1e3 * tokens / report["prefill"]["tokens_per_s"], flop, peak, best)
            copies.append(report["decode"]["ceiling_gbps"])
            profile = report.get("profile", {}).get("prefill", [])
            kernels += [(batch, what, k) for k in profile[:a.kernels]]
    copies = [c for c in copies if c]
    if copies:
        print(f"\nA copy on the device moves {min(copies):.0f} to {max(copies):.0f} GB/s, read and written bytes counted.")
    for batch, what, k in kernels:
        print(f"{batch} {what}: {k['kernel']}{' by BLAS' if k['rocblas'] else ''}: {1e3 * k['seconds']:.2f} ms of "
              f"{k['calls']} calls, {(k['gflops'] or 0) / 1e3:.0f} TFLOP/s, {k['gbps'] or 0:.0f} GB/s")


if __name__ == "__main__":
    main()
