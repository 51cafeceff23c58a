"""Times reading a prompt with the RetNet of a config in PyTorch on a GPU: torch_prefill.py CONFIG --batches 1,8; one
JSON object on stdout, milliseconds a prompt by batch and mode, and what a large product of bf16 reaches.

Weights are bf16, retention float32 with TF32 products, in chunks of 64; the head is computed of the last position only. Modes
are those of torch_decode.py.
"""

import argparse

import torch
from torch_decode import load_model, measure_modes, print_report, time_calls


def measure_peak():
    a, b = (torch.randn(8192, 8192, dtype=torch.bfloat16) for _ in range(2))
    a @ b
    return round(2e-9 * 8192**3 / time_calls(lambda: a @ b, 5), 1)


@torch.inference_mode()
def measure(model, batch, prompt, modes):
    tokens = torch.randint(model.shape.vocabulary, (batch, prompt))
    cos, sin = model.angles(0, prompt)
    states = model.new_states(batch)
    return measure_modes(model, "prefill", lambda: model.prefill_body(tokens, cos, sin, states, False), modes, 1, 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--modes", default="eager,eager + graph,compile + graph")
    a = parser.parse_args()
    model = load_model(a.config)
    torch.set_float32_matmul_precision("high")
    print_report(a, lambda batch, modes: measure(model, batch, a.prompt, modes), peak_tflops=measure_peak())


if __name__ == "__main__":
    main()
