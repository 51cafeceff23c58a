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


def measure_modes(model, method, call, modes, eager_calls, graph_calls):
    """Milliseconds of a call by mode; `method` is what torch.compile gets of each layer."""
    results = {}
    for mode in modes:
        if mode == "eager":
            call()
            results[mode] = time_calls(call, eager_calls)
            continue
        if mode == "compile + graph":
            for layer in model.layers:
                setattr(layer, method, torch.compile(getattr(layer, method), fullgraph=True, dynamic=False))
        graph = capture(call)
        graph.replay()
        results[mode] = time_calls(graph.replay, graph_calls)
        del graph
        for layer in model.layers:
            layer.__dict__.pop(method, None)
    return results


def load_model(config):
    """Exits with 77, and a word, where PyTorch has no GPU."""
    if not torch.cuda.is_available():
        print("skipped: no GPU for PyTorch")
        sys.exit(77)
    torch.manual_seed(1)
    torch.set_default_device("cuda")
    return RetNet(json.load(open(config)), torch.bfloat16).eval()


def print_report(a, measure, **facts):
    """`measure` gives milliseconds by mode of a batch."""
    report = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), **facts}
    for batch in (int(b) for b in a.batches.split(",")):
        report[str(batch)] = {mode: round(ms, 4) for mode, ms in measure(batch, a.modes.split(",")).items()}
        torch.compiler.reset()
        torch.cuda.empty_cache()
    print(json.dumps(report, indent=2))


@torch.inference_mode()
def measure(model, batch, modes):
    tokens = torch.randint(model.shape.vocabulary, (batch, 1))
    cos, sin = model.angles(16, 1)
    states = model.new_states(batch)
    for state in states:
        state.normal_()
    return measure_modes(model, "step", lambda: model.step_body(tokens, cos, sin, states), modes, 5, 20)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--batches", default="1,16,64")
    parser.add_argument("--modes", default="eager,eager + graph,compile + graph")
    a = parser.parse_args()
    model = load_model(a.config)
    print_report(a, lambda batch, modes: measure(model, batch, modes))


if __name__ == "__main__":
    main()
