"""Runs the measurements of tests/bench/run.sh and makes the tables of docs/performance.md from them."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RETC = "build/release/retc"
CONFIGS, PEERS = "tests/bench/configs", "tests/bench/peers"
SHAKESPEARE = "examples/shakespeare"
BEGIN, END = "<!-- measured: {} -->", "<!-- end of {} -->"


class Failed(Exception):
    pass


class Absent(Failed):
    """This build of retc has no such option."""


class Runner:
    """Runs commands in the repository's folder and gives what they print."""

    def __init__(self, prefix):
        self.prefix = shlex.split(prefix)
        # What holds OpenBLAS back is meant for others.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def text(self, words):
        print("+ " + shlex.join(words), file=sys.stderr, flush=True)
        done = subprocess.run(self.prefix + words, cwd=SOURCE, env=self.environment, text=True, capture_output=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            if done.returncode < 0:
                lines = [f"ended by signal {-done.returncode}"]
            raise Failed(lines[-1])
        return done.stdout

    def json(self, words):
        return json.loads(self.text(words))


class Report:
    def __init__(self, arguments):
        self.arguments = arguments
        self.runner = Runner(arguments.run_with)
        self.quick = arguments.quick
        self.model = f"{CONFIGS}/{'170m' if self.quick else '1.3b'}.json"
        self.rounds = str(2 if self.quick else arguments.rounds)
        self.machine = None
        self.tables = {}
        self.help = {c: subprocess.run([RETC, c, "--help"], cwd=SOURCE, text=True, capture_output=True).stdout
                     for c in ("bench", "eval")}

    def require(self, command, options):
        for word in options:
            if word.startswith("--") and word not in self.help[command]:
                raise Absent(f"retc {command} has no option {word}")

    def bench(self, model, *options):
        self.require("bench", options)
        words = [RETC, "bench", model, *options, "--json"]
        result = self.runner.json(words)
        self.machine = self.machine or result["machine"]
        return result, shlex.join(words[:-1])

    def wanted(self, group):
        return re.search(self.arguments.only, group)

    def add(self, group, *cells):
        self.tables.setdefault(group, []).append(cells)
        print(" | ".join(cells), flush=True)

    def measure(self, group, what, goal, function):
        """function gives the measured text and the command."""
        try:
            found, command = function()
        except Absent:
            return
        except Failed as problem:
            found, command = f"failed: {problem}", ""
        self.add(group, what, goal, found, f"`{command}`" if command else "")

    # ---- what retc reaches ----

    def decode(self):
        one = {}

        def row(kind, options, batch):
            def run():
                result, command = self.bench(self.model, "--prompt", "64", "--tokens", "64" if batch == 1 else "32",
                                             "--batch", str(batch), "--rounds", self.rounds, *options)
                d = result["decode"]
                one[kind, batch] = d["tokens_per_s"]
                text = (f"{d['tokens_per_s']:.2f} tokens/s, {d['gbps']:.1f} of {d['ceiling_gbps']:.1f} GB/s = "
                        f"{100 * d['share_of_bandwidth']:.0f} %")
                if batch > 1 and (kind, 1) in one:
                    text += f"; {d['tokens_per_s'] / one[kind, 1]:.2f} x batch 1"
                return text, command
            return run

        for kind, goal in (("bf16", "85 %"), ("int8", "85 %"), ("int4", "70 %")):
            self.measure("decode", f"decode, batch 1, {kind} weights", f"≥ {goal} of read bandwidth",
                         row(kind, [] if kind == "bf16" else ["--weights", kind], 1))
        self.measure("decode", "decode, batch 8, int8 weights", "≥ 4 x the tokens/s of batch 1",
                     row("int8", ["--weights", "int8"], 8))
        self.measure("decode", "decode, batch 1, bf16 weights, AVX2", "reported",
                     row("v3", ["--cpu", "x86-64-v3"], 1))
        if ("int8", 1) not in one:
            self.measure("decode", "decode, batch 8, bf16 weights", "reported", row("bf16", [], 8))

    def prefill(self):
        def row(options):
            def run():
                result, command = self.bench(self.model, "--prompt", "512", "--tokens", "0", "--rounds",
                                             self.rounds, *options)
                p, machine = result["prefill"], result["machine"]
                ceiling = machine[p["peak"]]
                share = f" of {ceiling:.0f} = {100 * p['share_of_peak']:.0f} %" if ceiling else ""
                return f"{p['tokens_per_s']:.1f} tokens/s, {p['gflops']:.1f}{share} GFLOP/s", command
            return run

        bf16 = ["--math", "bf16"]
        for what, goal, options in (("f32 math", "≥ 88 % of f32 FMA peak", []), ("bf16 math", "reported", bf16),
                                    ("bf16 math, dot instruction (no tiles)", "≥ 80 % of bf16 dot peak",
                                     [*bf16, "--cpu", "host,no-tiles"]),
                                    ("int8 math", "reported", ["--weights", "int8"]),
                                    ("int8 math, int4 weights", "reported", ["--weights", "int4"])):
            self.measure("prefill", f"prefill, 512 tokens, {what}", goal, row(options))
        self.measure("prefill", "prefill, 512 tokens, f32 math, AVX2", "reported",
                     row(["--cpu", "x86-64-v3"]))

    def retention(self):
        best = {}

        def row(shape):
            def run():
                result, command = self.bench(f"{CONFIGS}/retention-{shape}.json", "--prompt", "512", "--tokens", "0",
                                             "--rounds", self.rounds, "--profile")
                kernels = [k for k in result["profile"]["prefill"] if k["kernel"].startswith("retention")]
                if not kernels:
                    raise Failed("no kernel is called retention")
                rate = kernels[0]["gflops"]
                best[shape] = rate
                text = f"{rate:.1f} GFLOP/s = {100 * rate / result['machine']['fma_f32_gflops']:.0f} % of f32 peak"
                if shape != "256-512" and "256-512" in best:
                    text += f", {100 * rate / best['256-512']:.0f} % of K=256 V=512"
                return text, command
            return run

        for shape, goal in (("256-512", "≥ 70 % of f32 peak"), ("256-432", "≥ 85 % of K=256 V=512"),
                            ("32-56", "≥ 85 % of K=256 V=512")):
            k, v = shape.split("-")
            self.measure("retention", f"retention kernel, K={k} V={v} C=64, 512 tokens", goal, row(shape))

    def flat(self):
        def row(model, options, rounds):
            def run():
                result, command = self.bench(model, "--prompt", "64", "--tokens", "0", "--positions",
                                             "128,8192,131072", "--rounds", rounds, *options)
                places = result["positions"]
                times = [p["token_s"] for p in places]
                spread = max(times) / min(times) - 1
                slowest = max(p["slowest_token_s"] / p["middle_token_s"] for p in places)
                boundary = max(p["slowest_middle_s"] / p["middle_token_s"] for p in places)
                text = " / ".join(f"{1e3 * t:.3f}" for t in times)
                return (f"{text} ms, within {100 * spread:.1f} %; slowest token "
                        f"{boundary:.2f} x the median, slowest of all rounds {slowest:.2f} x"), command
            return run

        self.measure("flat", "time per token at position 128 / 8,192 / 131,072",
                     "within 3 %, slowest < 1.5 x", row(self.model, [], self.rounds))
        self.measure("flat", "the same, examples/shakespeare", "within 3 %, slowest < 1.5 x",
                     row(SHAKESPEARE, [], "5"))

    def compile(self):
        def times():
            result, command = self.bench(self.model, "--prompt", "0", "--tokens", "1", "--rounds", "5")
            c = result["compile"]
            return f"{c['cold_s']:.3f} s / {1e3 * c['cached_s']:.1f} ms", command

        def memory():
            result, command = self.bench(self.model, "--prompt", "512", "--tokens", "1", "--rounds", "1")
            m = result["memory"]
            library = library_bytes()
            allowed = 1.05 * (m["weights_bytes"] + m["state_bytes"]) + (64 << 20) + library
            return (f"{m['peak_bytes'] / 2**20:.0f} MiB of {allowed / 2**20:.0f} MiB (weights "
                    f"{m['weights_bytes'] / 2**20:.0f}, states {m['state_bytes'] / 2**20:.0f}, libLLVM "
                    f"{library / 2**20:.0f})"), command

        self.measure("compile", "compile, cold / cached", "≤ 0.5 s / ≤ 10 ms", times)
        self.measure("compile", "peak memory, loading included", "≤ 1.05 x (weights + states) + 64 MiB + libLLVM",
                     memory)

    def accuracy(self):
        words = [RETC, "eval", SHAKESPEARE, "--text", f"{SHAKESPEARE}/validation.txt"]

        def nats(options):
            return float(self.runner.text(words + options).split()[1])

        def row(options):
            def run():
                self.require("eval", options)
                exact = nats([])
                found = nats(options)
                return f"{found - exact:+.6f} ({found:.6f} against {exact:.6f})", shlex.join(words + options)
            return run

        for what, goal, options in (("bf16 math", "0.0002", ["--weights", "bf16", "--math", "bf16"]),
                                    ("int8 weights and math", "0.0007", ["--weights", "int8"]),
                                    ("int4 weights, int8 math", "0.010", ["--weights", "int4"])):
            self.measure("accuracy", f"nats per byte above f32, {what}", f"≤ {goal}", row(options))

    # ---- other programs ----

    def python(self, script, *options):
        return [os.path.join(self.arguments.peers, "bin/python"), f"{PEERS}/{script}", *options]

    def check_torch(self):
        case = "tests/cases/fla-tiny"
        with tempfile.TemporaryDirectory() as folder:
            logits = os.path.join(folder, "logits.safetensors")
            tokens = f"{case}/golden.safetensors"
            self.runner.text([RETC, "eval", case, "--tokens", tokens, "--form", "session", "--out", logits])
            print(self.runner.text(self.python("torch_peer.py", "--check", case, tokens, logits)), end="")

    def own(self, model, options, prompt, tokens):
        result, _ = self.bench(model, "--prompt", prompt, "--tokens", tokens, "--rounds", "3", *options)
        return result["prefill"]["tokens_per_s"], result["decode"]["tokens_per_s"]

    def compare(self, what, model, options, peers, prompt, tokens):
        """peers: name → function that gives prefill and decode rates of another program."""
        try:
            own = self.own(model, options, prompt, tokens)
        except Absent:
            return
        except Failed as problem:
            own = None
            self.add("peers", what, f"retc failed: {problem}", "", "", "")
        for name, run in peers.items():
            try:
                other = run()
            except Failed as problem:
                self.add("peers", what, name, f"failed: {problem}", "", "")
                continue
            if own:
                cells = [f"{a:.1f} / {b:.1f} = {a / b:.2f}" for a, b in zip(own, other)]
                self.add("peers", what, name, *cells, shlex.join(["retc", "bench", model, *options]))

    def torch_rates(self, model, dtype, mode, prompt, tokens):
        words = self.python("torch_peer.py", f"{model}/config.json" if model == SHAKESPEARE else model, "--dtypes",
                            dtype, "--modes", mode, "--prompt", prompt, "--tokens", tokens)
        found = self.runner.json(words)[f"{dtype} {mode}"]
        return found["prefill_tokens_per_s"], found["decode_tokens_per_s"]

    def llama_rates(self, kind, prompt, tokens, options):
        words = self.python("llama_peer.py", self.model, "--types", kind, "--prompt", prompt, "--tokens", tokens)
        found = self.runner.json(words + options)[kind]
        return found["prefill_tokens_per_s"], found["decode_tokens_per_s"]

    def peers(self):
        if not self.arguments.peers:
            return
        prompt, tokens = ("128", "8") if self.quick else ("512", "16")
        self.check_torch()
        wide = self.model.replace(".json", "-f32.json")
        for model, dtype, options in ((wide, "f32", []), (self.model, "bf16", []),
                                      (self.model, "bf16", ["--math", "bf16"]), (SHAKESPEARE, "f32", []),
                                      (SHAKESPEARE, "bf16", [])):
            count = "512" if model == SHAKESPEARE else tokens
            name = os.path.basename(model).removesuffix(".json").removesuffix("-f32")
            math = f", {options[1]} math" if options else ""
            if model == SHAKESPEARE:
                math += "; retc's as stored"
            peers = {f"PyTorch, {mode}": lambda mode=mode: self.torch_rates(model, dtype, mode, prompt, count)
                     for mode in ("eager", "compile")}
            self.compare(f"{name}, {dtype} weights{math}", model, options, peers, prompt, count)
        for kind in ("bf16", "int8", "int4"):
            self.compare(f"{os.path.basename(self.model)[:-5]}, {kind} weights", self.model,
                         [] if kind == "bf16" else ["--weights", kind],
                         {"llama.cpp, a Llama of equal size": lambda: self.llama_rates(kind, prompt, tokens, []),
                          "the same, weights not repacked": lambda: self.llama_rates(kind, prompt, tokens, ["--plain"])},
                         prompt, tokens)

    # ---- the file ----

    def describe(self):
        facts = cpu_facts()
        commit = subprocess.run(["git", "log", "-1", "--format=%h of %cs"], cwd=SOURCE, text=True, capture_output=True)
        lines = [f"- retc at {commit.stdout.strip() or 'no commit'}.",
                 f"- {facts['model']}, {len(os.sched_getaffinity(0))} CPUs, L2 {facts['l2']}, L3 {facts['l3']} as the "
                 f"system says, {facts['memory']} GiB of memory, {os.uname().sysname} {os.uname().release}.",
                 f"- {facts['known']}"]
        if self.machine:
            names = {"fma_f32_gflops": "f32 FMA", "dot_bf16_gflops": "bf16 dot", "dot_int8_gops": "int8 dot",
                     "tile_bf16_gflops": "bf16 tiles", "tile_int8_gops": "int8 tiles", "read_gbps": "reads"}
            for key, name in names.items():
                all_threads, one = self.machine[key], self.machine["one_thread"][key]
                unit = "GB/s" if key == "read_gbps" else "GOP/s"
                lines.append(f"- {name}: {all_threads:.1f} {unit}, one thread {one:.1f} ({self.machine['probes'][key]})"
                             if all_threads else f"- {name}: no such instruction")
        return "\n".join(lines)

    def write(self):
        path = os.path.join(SOURCE, self.arguments.out)
        text = open(path).read() if os.path.exists(path) else "# Performance\n"
        heads = {"peers": "| model | peer | prefill, tokens/s, retc / peer | decode, retc / peer | retc's command |"}
        sections = {"machine": self.describe()} if self.machine else {}
        for group, rows in self.tables.items():
            head = heads.get(group, "| what | goal | measured | command |")
            rule = "|" + "---|" * (head.count("|") - 1)
            sections[group] = "\n".join([head, rule] + ["| " + " | ".join(row) + " |" for row in rows])
        for group, body in sections.items():
            begin, end = BEGIN.format(group), END.format(group)
            block = f"{begin}\n{body}\n{end}"
            if begin in text and end in text:
                text = text[: text.index(begin)] + block + text[text.index(end) + len(end):]
            else:
                text += f"\n## {group}\n\n{block}\n"
        with open(path + ".new", "w") as file:
            file.write(text)
        os.replace(path + ".new", path)


def library_bytes():
    """The file of libLLVM that retc is linked with."""
    found = subprocess.run(["ldd", RETC], cwd=SOURCE, text=True, capture_output=True).stdout
    match = re.search(r"libLLVM\S* => (\S+)", found)
    return os.path.getsize(match.group(1)) if match else 0


def cpu_facts():
    def first(pattern, path):
        match = re.search(pattern, open(path).read(), re.M)
        return match.group(1).strip() if match else "unknown"

    flags = first(r"^flags\s*:(.*)$", "/proc/cpuinfo").split()
    known = [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_tile") if f in flags]

    def cache(index):
        try:
            return open(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size").read().strip()
        except OSError:
            return "unknown"

    return {"model": first(r"^model name\s*:(.*)$", "/proc/cpuinfo"),
            "known": "the CPU's features: " + ", ".join(known), "l2": cache(2), "l3": cache(3),
            "memory": round(int(first(r"^MemTotal:\s*(\d+)", "/proc/meminfo")) / 2**20)}


def main():
    parser = argparse.ArgumentParser(prog="sh tests/bench/run.sh")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--peers", default="", metavar="FOLDER")
    parser.add_argument("--out", default="docs/performance.md", metavar="FILE")
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--run-with", default="", metavar="WORDS")
    report = Report(parser.parse_args())
    for group in ("decode", "prefill", "retention", "flat", "compile", "accuracy", "peers"):
        if report.wanted(group):
            getattr(report, group)()
            report.write()


main()
