"""Times a Llama with as many parameters as a RetNet config in llama.cpp: llama_peer.py CONFIG [options]; one JSON
object on stdout. Its weights are random numbers in a GGUF file that is made for the run.

Attention takes the four square matrices that a Llama has; the feed-forward is as wide as makes the number of parameters
equal, rounded to the blocks of 32 that quantised rows consist of.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import gguf
import llama_cpp
import numpy

TYPES = {
    "f32": gguf.GGMLQuantizationType.F32,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "f16": gguf.GGMLQuantizationType.F16,
    "int8": gguf.GGMLQuantizationType.Q8_0,
    "int4": gguf.GGMLQuantizationType.Q4_0,
}
HEAD_WIDTH, BLOCK = 128, 32


def llama_feed(config):
    """The feed-forward width with which a layer has the RetNet layer's parameters."""
    width = config["hidden_size"]
    values = int(width * config.get("expand_v", 2.0))
    inner = int(width * (config.get("hidden_ratio") or 2) * 2 / 3)
    feed = config.get("intermediate_size") or 256 * ((inner + 255) // 256)
    retnet = 2 * width * width + 3 * width * values + 3 * width * feed
    return round((retnet - 4 * width * width) / (3 * width) / BLOCK) * BLOCK


def write_model(path, config, kind):
    width, layers, vocabulary = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
    feed = llama_feed(config)
    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(width // HEAD_WIDTH)
    writer.add_head_count_kv(width // HEAD_WIDTH)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")
    count = 0
    made = {}

    def add(name, rows, columns):
        nonlocal count
        count += rows * columns
        if (rows, columns) not in made:
            numbers = random.standard_normal((rows, columns), dtype=numpy.float32) / numpy.float32(columns**0.5)
            made[rows, columns] = gguf.quants.quantize(numbers, kind)
        writer.add_tensor(name, made[rows, columns], raw_dtype=kind)

    def add_norm(name):
        writer.add_tensor(name, numpy.ones(width, dtype=numpy.float32))

    add("token_embd.weight", vocabulary, width)
    add("output.weight", vocabulary, width)
    add_norm("output_norm.weight")
    for i in range(layers):
        add_norm(f"blk.{i}.attn_norm.weight")
        add_norm(f"blk.{i}.ffn_norm.weight")
        for part in ("q", "k", "v", "output"):
            add(f"blk.{i}.attn_{part}.weight", width, width)
        add(f"blk.{i}.ffn_gate.weight", feed, width)
        add(f"blk.{i}.ffn_up.weight", feed, width)
        add(f"blk.{i}.ffn_down.weight", width, feed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


class Session:
    def __init__(self, path, threads, prompt, tokens, repack):
        options = llama_cpp.llama_model_default_params()
        options.use_extra_bufts = repack
        options.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            raise SystemExit(f"llama_peer: {path} could not be loaded")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = prompt + tokens + 64
        context.n_batch = context.n_ubatch = max(prompt, 1)
        context.n_threads = context.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, context)

    def feed(self, tokens):
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        start = time.perf_counter()
        if llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(tokens))):
            raise SystemExit("llama_peer: llama_decode failed")
        llama_cpp.llama_get_logits_ith(self.context, -1)
        return time.perf_counter() - start

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def close(self):
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


def measure(path, a):
    session = Session(path, a.threads, a.prompt, a.tokens, not a.plain)
    prompt = [(7 * i + 1) % 30000 for i in range(a.prompt)]
    prefill, decode = [], []
    for number in range(a.rounds + 1):
        session.clear()
        first = session.feed(prompt)
        rest = sum(session.feed([(11 * i + 3) % 30000]) for i in range(a.tokens))
        if number:
            prefill.append(a.prompt / first)
            decode.append(a.tokens / rest)
    session.close()
    return {"prefill_tokens_per_s": round(statistics.median(prefill), 3),
            "decode_tokens_per_s": round(statistics.median(decode), 3)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--types", default="bf16,int8,int4")
    for name, default in (("threads", 0), ("prompt", 512), ("tokens", 16), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--plain", action="store_true", help="weights as in the file, neither repacked nor in tiles")
    a = parser.parse_args()
    a.threads = a.threads or len(os.sched_getaffinity(0))
    config = json.load(open(a.config))
    quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)
    llama_cpp.llama_log_set(quiet, None)
    llama_cpp.llama_backend_init()
    report = {"llama_cpp_python": llama_cpp.__version__, "threads": a.threads,
              "system": llama_cpp.llama_print_system_info().decode()}
    for kind in a.types.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            count = write_model(path, config, TYPES[kind])
            report[kind] = {"parameters": count, "file_bytes": os.path.getsize(path)} | measure(path, a)
    print(json.dumps(report, indent=2))


main()
