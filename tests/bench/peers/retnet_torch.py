"""A RetNet of flash-linear-attention's dialect in plain PyTorch, written to be fast on a CPU.

Prefill is chunkwise: in-chunk products of all chunks are one batched product, and only the states are a loop. Decode is
the recurrent form with the state updated in place. Weights are of the dtype asked for; the state, norms and what is
inside retention are float32, as in every implementation that generates well.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Shape:
    def __init__(self, config):
        self.width = config["hidden_size"]
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_heads"]
        self.key_width = int(self.width * config.get("expand_k", 1.0)) // self.heads
        self.value_width = int(self.width * config.get("expand_v", 2.0)) // self.heads
        inner = int(self.width * (config.get("hidden_ratio") or 2) * 2 / 3)
        self.feed = config.get("intermediate_size") or 256 * ((inner + 255) // 256)
        self.vocabulary = config["vocab_size"]
        self.eps = config.get("norm_eps", 1e-6)
        self.tied = config.get("tie_word_embeddings", False)


def rms_norm(x, weight, eps):
    y = x.float()
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)
    return (y * weight).to(x.dtype)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def linear(inputs, outputs, dtype):
    layer = nn.Linear(inputs, outputs, bias=False, device="meta", dtype=dtype)
    bound = math.sqrt(3 / inputs)
    layer.weight = nn.Parameter(torch.empty(outputs, inputs, dtype=dtype).uniform_(-bound, bound), requires_grad=False)
    return layer


def norm_weight(width):
    return nn.Parameter(torch.ones(width), requires_grad=False)


class Retention(nn.Module):
    def __init__(self, shape, dtype, chunk):
        super().__init__()
        self.shape, self.chunk = shape, chunk
        keys, values = shape.heads * shape.key_width, shape.heads * shape.value_width
        self.q_proj = linear(shape.width, keys, dtype)
        self.k_proj = linear(shape.width, keys, dtype)
        self.v_proj = linear(shape.width, values, dtype)
        self.g_proj = linear(shape.width, values, dtype)
        self.o_proj = linear(values, shape.width, dtype)
        self.g_norm_swish_gate = nn.Module()
        self.g_norm_swish_gate.weight = norm_weight(shape.value_width)
        log_decay = torch.log(1 - torch.exp2(-5.0 - torch.arange(shape.heads, dtype=torch.float64)))
        row = torch.arange(chunk, dtype=torch.float64)
        power = lambda n: torch.exp(log_decay[:, None] * n).float()
        distance = row[:, None] - row[None, :]
        mask = torch.exp(log_decay[:, None, None] * distance) * (distance >= 0)
        for name, value in (("decay", power(torch.ones(1, dtype=torch.float64))), ("cross", power(row + 1)),
                            ("update", power(chunk - 1 - row)), ("mask", mask.float()),
                            ("whole", power(torch.full((1,), float(chunk), dtype=torch.float64)))):
            self.register_buffer(name, value, persistent=False)

    def project(self, x, cos, sin):
        s, (b, t, _) = self.shape, x.shape
        q = self.q_proj(x).float().view(b, t, s.heads, s.key_width).transpose(1, 2)
        k = self.k_proj(x).float().view(b, t, s.heads, s.key_width).transpose(1, 2)
        v = self.v_proj(x).float().view(b, t, s.heads, s.value_width).transpose(1, 2)
        return rotate(q, cos, sin) * s.key_width**-0.5, rotate(k, cos, sin), v

    def finish(self, x, o):
        b, t, _ = x.shape
        o = rms_norm(o.transpose(1, 2), self.g_norm_swish_gate.weight, self.shape.eps)
        return self.o_proj(F.silu(self.g_proj(x)) * o.reshape(b, t, -1).to(x.dtype))

    def prefill(self, x, cos, sin, state):
        q, k, v = self.project(x, cos, sin)
        b, h, t, _ = q.shape
        n, c = t // self.chunk, self.chunk
        q, k, v = (a.reshape(b, h, n, c, a.shape[-1]) for a in (q, k, v))
        scores = (q @ k.transpose(-1, -2)) * self.mask[:, None]
        o = scores @ v
        added = (k * self.update[:, None, :, None]).transpose(-1, -2) @ v
        starts = []
        for i in range(n):
            starts.append(state)
            state = state * self.whole[:, :, None] + added[:, :, i]
        o = o + (q * self.cross[:, None, :, None]) @ torch.stack(starts, 2)
        return self.finish(x, o.reshape(b, h, t, -1)), state

    def step(self, x, cos, sin, state):
        q, k, v = self.project(x, cos, sin)
        state.mul_(self.decay[:, :, None]).add_(k.transpose(-1, -2) * v)
        return self.finish(x, q @ state)


class Layer(nn.Module):
    def __init__(self, shape, dtype, chunk):
        super().__init__()
        self.eps = shape.eps
        for name in ("attn_norm", "mlp_norm"):
            self.add_module(name, nn.Module())
            getattr(self, name).weight = norm_weight(shape.width)
        self.attn = Retention(shape, dtype, chunk)
        self.mlp = nn.Module()
        self.mlp.gate_proj = linear(shape.width, shape.feed, dtype)
        self.mlp.up_proj = linear(shape.width, shape.feed, dtype)
        self.mlp.down_proj = linear(shape.feed, shape.width, dtype)

    def feed_forward(self, x):
        y = rms_norm(x, self.mlp_norm.weight, self.eps)
        return x + self.mlp.down_proj(F.silu(self.mlp.gate_proj(y)) * self.mlp.up_proj(y))

    def prefill(self, x, cos, sin, state):
        y, state = self.attn.prefill(rms_norm(x, self.attn_norm.weight, self.eps), cos, sin, state)
        return self.feed_forward(x + y), state

    def step(self, x, cos, sin, state):
        return self.feed_forward(x + self.attn.step(rms_norm(x, self.attn_norm.weight, self.eps), cos, sin, state))


class RetNet(nn.Module):
    def __init__(self, config, dtype, chunk=64):
        super().__init__()
        shape = self.shape = Shape(config)
        self.chunk = chunk
        self.embeddings = nn.Module()
        rows = torch.empty(shape.vocabulary, shape.width, dtype=dtype).uniform_(-1.7, 1.7)
        self.embeddings.weight = nn.Parameter(rows, requires_grad=False)
        self.layers = nn.ModuleList(Layer(shape, dtype, chunk) for _ in range(shape.layers))
        self.norm = nn.Module()
        self.norm.weight = norm_weight(shape.width)
        self.lm_head = linear(shape.width, shape.vocabulary, dtype)
        if shape.tied:
            self.lm_head.weight = self.embeddings.weight
        theta = 10000.0 ** (-torch.arange(0, shape.key_width, 2, dtype=torch.float64) / shape.key_width)
        self.register_buffer("theta", theta, persistent=False)

    def load(self, path):
        from safetensors.torch import load_file

        own = dict(self.named_parameters(remove_duplicate=False))
        for name, value in load_file(path).items():
            own[name.removeprefix("model.")].data.copy_(value)

    def new_states(self, batch):
        s = self.shape
        return [torch.zeros(batch, s.heads, s.key_width, s.value_width) for _ in range(s.layers)]

    def angles(self, first, count):
        angle = torch.arange(first, first + count, dtype=torch.float64)[:, None] * self.theta
        return angle.cos().float(), angle.sin().float()

    def head(self, x):
        return self.lm_head(rms_norm(x, self.norm.weight, self.shape.eps)).float()

    def prefill_body(self, tokens, cos, sin, states, every):
        x = F.embedding(tokens, self.embeddings.weight)
        out = []
        for layer, state in zip(self.layers, states):
            x, state = layer.prefill(x, cos, sin, state)
            out.append(state)
        return self.head(x if every else x[:, -1:]), out

    def step_body(self, tokens, cos, sin, states):
        x = F.embedding(tokens, self.embeddings.weight)
        for layer, state in zip(self.layers, states):
            x = layer.step(x, cos, sin, state)
        return self.head(x)
