"""Times the RetNet of a config in PyTorch: torch_peer.py CONFIG [options]; one JSON object on stdout.

--check MODEL_FOLDER TOKENS LOGITS compares logits with what `retc eval --form session` wrote, and times nothing.
"""

import argparse
import json
import os
import statistics
import sys
import time

import torch

from retnet_torch import RetNet

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@torch.inference_mode()
def run_whole(model, tokens, length, every):
    """A prompt whose whole chunks go through prefill and the rest token by token."""
    states, logits = model.new_states(tokens.shape[0]), []
    whole = length // model.chunk * model.chunk
    if whole:
        out, states = model.prefill_body(tokens[:, :whole], *model.angles(0, whole), states, every)
        logits.append(out)
    for i in range(whole, length):
        logits.append(model.step_body(tokens[:, i : i + 1], *model.angles(i, 1), states))
    return torch.cat(logits, 1), states


def check(folder, tokens_path, logits_path):
    from safetensors.torch import load_file

    config = json.load(open(os.path.join(folder, "config.json")))
    tokens = load_file(tokens_path)["input_ids"]
    wanted = load_file(logits_path)["logits"]
    for chunk in (16, 64):
        model = RetNet(config, torch.float32, chunk)
        model.load(os.path.join(folder, "model.safetensors"))
        found, _ = run_whole(model, tokens, tokens.shape[1], True)
        error = ((found - wanted).norm() / wanted.norm()).item()
        print(f"chunk {chunk}: logits differ from retc's by {error:.2e} of their size")
        if not error < 1e-4:
            sys.exit("torch_peer: this is not the same model")


class Timed:
    """One dtype and mode: a model with its two functions."""

    def __init__(self, config, dtype, mode, arguments):
        self.arguments, self.name = arguments, f"{dtype} {mode}"
        self.model = RetNet(config, DTYPES[dtype], arguments.chunk).eval()
        self.prefill, self.step = self.model.prefill_body, self.model.step_body
        if mode == "compile":
            self.prefill = torch.compile(self.prefill, fullgraph=True)
            self.step = torch.compile(self.step, fullgraph=True)
        self.results = {"prefill": [], "decode": []}

    @torch.inference_mode()
    def round(self, count):
        a, model = self.arguments, self.model
        tokens = torch.randint(model.shape.vocabulary, (a.batch, max(a.prompt, 1)))
        states = model.new_states(a.batch)
        cos, sin = model.angles(0, a.prompt)
        start = time.perf_counter()
        _, states = self.prefill(tokens, cos, sin, states, False)
        middle = time.perf_counter()
        states = [s.contiguous().clone() for s in states]
        angles = [model.angles(a.prompt + i, 1) for i in range(count)]
        begin = time.perf_counter()
        for i in range(count):
            self.step(tokens[:, i % a.prompt : i % a.prompt + 1].contiguous(), *angles[i], states)
        end = time.perf_counter()
        return middle - start, (end - begin) / count

    def warm(self):
        start = time.perf_counter()
        for _ in range(2):
            self.round(3)
        self.first = time.perf_counter() - start

    def measure(self):
        prefill, decode = self.round(self.arguments.tokens)
        self.results["prefill"].append(self.arguments.batch * self.arguments.prompt / prefill)
        self.results["decode"].append(self.arguments.batch / decode)

    def report(self):
        return {"warm_up_s": round(self.first, 3)} | {
            f"{phase}_tokens_per_s": round(statistics.median(rates), 3) for phase, rates in self.results.items()
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config", nargs="?")
    parser.add_argument("--check", nargs=3, metavar=("MODEL", "TOKENS", "LOGITS"))
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--modes", default="eager,compile")
    for name, default in (("threads", 0), ("batch", 1), ("prompt", 512), ("tokens", 16), ("rounds", 3), ("chunk", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(a.threads or len(os.sched_getaffinity(0)))
    if a.check:
        return check(*a.check)
    if a.prompt % a.chunk:
        sys.exit("torch_peer: --prompt is to be a multiple of --chunk")
    config = json.load(open(a.config))
    report = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    for dtype in a.dtypes.split(","):
        for mode in a.modes.split(","):
            timed = Timed(config, dtype, mode, a)
            timed.warm()
            for _ in range(a.rounds):
                timed.measure()
            report[timed.name] = timed.report()
            del timed
            torch.compiler.reset()
    print(json.dumps(report, indent=2))


main()
