"""Times decoding of the RetNet of a config in PyTorch on a GPU: torch_decode.py CONFIG --batches 1,16,64; one JSON object on
stdout, milliseconds a step by batch and mode.

Weights are bf16, the state float32. A step is one replay of a CUDA graph, of eager kernels or of those that torch.compile makes
of a layer; eager without a graph is given too. What a loop around it would take (positions, sampling) is left out.
"""

import argparse
import json
import os
import statistics
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "peers"))
from retnet_torch import RetNet  # noqa: E402


def time_calls(call, count):
    """Median milliseconds of a call, in five rounds."""
    rounds = []
    for _ in range(5):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        rounds.append(begin.elapsed_time(end) / count)
    return statistics.median(rounds)


def capture(call):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph


@torch.inference_mode()
def measure(model, batch, modes):
    tokens = torch.randint(model.shape.vocabulary, (batch, 1))
    cos, sin = model.angles(16, 1)
    states = model.new_states(batch)
    for state in states:
        state.normal_()
    results = {}

    def step():
        return model.step_body(tokens, cos, sin, states)

    for mode in modes:
        if mode == "eager":
            step()
            results[mode] = time_calls(step, 5)
            continue
        if mode == "compile + graph":
            for layer in model.layers:
                layer.step = torch.compile(layer.step, fullgraph=True, dynamic=False)
        graph = capture(step)
        graph.replay()
        results[mode] = time_calls(graph.replay, 20)
        del graph
        for layer in model.layers:
            layer.__dict__.pop("step", None)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--batches", default="1,16,64")
    parser.add_argument("--modes", default="eager,eager + graph,compile + graph")
    a = parser.parse_args()
    if not torch.cuda.is_available():
        print("skipped: no GPU for PyTorch")
        sys.exit(77)
    torch.manual_seed(1)
    torch.set_default_device("cuda")
    model = RetNet(json.load(open(a.config)), torch.bfloat16).eval()
    report = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name()}
    for batch in (int(b) for b in a.batches.split(",")):
        report[str(batch)] = {mode: round(ms, 4) for mode, ms in measure(model, batch, a.modes.split(",")).items()}
        torch.compiler.reset()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
