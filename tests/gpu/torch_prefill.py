"""Times reading a prompt with the RetNet of a config in PyTorch on a GPU: torch_prefill.py CONFIG --batches 1,8; one JSON
object on stdout, milliseconds a prompt by batch and mode, and what a large product of bf16 reaches.

Weights are bf16, retention float32 with TF32 products, in chunks of 64; the head is computed of the last position only. Modes
are those of torch_decode.py.
"""

import argparse
import json
import sys

import torch
from torch_decode import RetNet, capture, time_calls


def measure_peak():
    a, b = (torch.randn(8192, 8192, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    return round(2e-9 * 8192**3 / time_calls(lambda: a @ b, 5), 1)


@torch.inference_mode()
def measure(model, batch, prompt, modes):
    tokens = torch.randint(model.shape.vocabulary, (batch, prompt))
    cos, sin = model.angles(0, prompt)
    states = model.new_states(batch)
    results = {}

    def read():
        return model.prefill_body(tokens, cos, sin, states, False)

    for mode in modes:
        if mode == "eager":
            read()
            results[mode] = time_calls(read, 1)
            continue
        if mode == "compile + graph":
            for layer in model.layers:
                layer.prefill = torch.compile(layer.prefill, fullgraph=True, dynamic=False)
        graph = capture(read)
        graph.replay()
        results[mode] = time_calls(graph.replay, 2)
        del graph
        for layer in model.layers:
            layer.__dict__.pop("prefill", None)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--modes", default="eager,eager + graph,compile + graph")
    a = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped: no GPU for PyTorch")
        sys.exit(77)
    torch.manual_seed(1)
    torch.set_default_device("cuda")
    torch.set_float32_matmul_precision("high")
    model = RetNet(json.load(open(a.config)), torch.bfloat16).eval()
    report = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "peak_tflops": measure_peak()}
    for batch in (int(b) for b in a.batches.split(",")):
        report[str(batch)] = {m: round(ms, 4) for m, ms in measure(model, batch, a.prompt, a.modes.split(",")).items()}
        torch.compiler.reset()
        torch.cuda.empty_cache()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
