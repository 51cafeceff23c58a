"""Rotation, retention, head norm and gate of one layer (8 heads of 256 and 512 channels, 2048 tokens): tests/gpu/region.graph,
rows in bf16 but for the values, which a cast would make a launch of their own, and the same in flash-linear-attention,
where that is installed. On a machine with a card:

    python3 tests/gpu/region.py make 8 in
    retc run tests/gpu/region.graph --inputs in --out out --target hip --math bf16 --profile 7
    python3 tests/gpu/region.py check 8 out    # against float64, the last row of the batch
    python3 tests/gpu/region.py peer           # batch 1 and 8: as it is called, and replayed as a CUDA graph
"""
import json
import statistics
import struct
import sys

import torch

H, K, V, T = 8, 256, 512, 2048
torch.manual_seed(1)

def save(path, tensors):
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}
    header, at = {}, 0
    for n, t in tensors.items():
        b = t.numel() * t.element_size()
        header[n] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + b]}
        at += b
    h = json.dumps(header).encode(); h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h))); f.write(h)
        for t in tensors.values():
            f.write(t.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())

def load(path, name):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]; h = json.loads(f.read(n))
        e = h[name]; a, b = e["data_offsets"]; f.seek(8 + n + a)
        d = {"F32": torch.float32, "BF16": torch.bfloat16}[e["dtype"]]
        return torch.frombuffer(bytearray(f.read(b - a)), dtype=d).reshape(e["shape"])

def make(B):
    g = torch.Generator(device="cuda").manual_seed(B)
    r = lambda *s: torch.randn(*s, generator=g, device="cuda").bfloat16()
    return r(B, T, H, K), r(B, T, H, K), r(B, T, H, V), r(B, T, H, V), 1 + 0.1 * torch.randn(V, generator=g, device="cuda")

def rotate(x):
    theta = 10000.0 ** (-torch.arange(K // 2, device="cuda", dtype=torch.float64) / (K // 2))
    a = torch.arange(T, device="cuda", dtype=torch.float64)[:, None] * theta
    c, s = a.cos()[None, :, None], a.sin()[None, :, None]
    y, z = x[..., :K // 2], x[..., K // 2:]
    return torch.cat([y * c - z * s, z * c + y * s], -1)

def reference(q, k, v, g, w, b):
    q, k, v, g = (t[b:b + 1].double() for t in (q, k, v, g))
    q, k = rotate(q * K ** -0.5), rotate(k)
    ld = torch.log(1 - 2.0 ** (-5 - torch.arange(H, device="cuda", dtype=torch.float64)))
    i = torch.arange(T, device="cuda")
    o = torch.empty_like(v)
    for h in range(H):
        m = torch.exp((i[:, None] - i[None]).double() * ld[h]).tril()
        o[:, :, h] = ((q[:, :, h] @ k[:, :, h].transpose(1, 2)) * m) @ v[:, :, h]
    n = o * torch.rsqrt(o.pow(2).mean(-1, keepdim=True) + 1e-6) * w
    return n * g * torch.sigmoid(g)

def timed(call, n=20):
    for _ in range(3): call()
    torch.cuda.synchronize()
    t = []
    for _ in range(n):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record(); call(); b.record(); b.synchronize(); t.append(a.elapsed_time(b))
    return statistics.median(t)

what = sys.argv[1]
if what == "make":
    q, k, v, g, w = make(int(sys.argv[2]))
    save(sys.argv[3], {"q": q, "k": k, "v": v.float(), "g": g, "w": w.float(),
                       "P": torch.zeros((), dtype=torch.int64)})
elif what == "check":
    B, path = int(sys.argv[2]), sys.argv[3]
    y = load(path, "y").cuda().double(); b = B - 1
    r = reference(*make(B), b)
    print("B=%d relative error of y: %.2e" % (B, ((y[b:b + 1] - r).norm() / r.norm()).item()), "finite", torch.isfinite(y).all().item())
else:
    from fla.ops.retention import chunk_retention
    from fla.modules.rotary import RotaryEmbedding
    for B in (1, 8):
        q, k, v, g, w = make(B)
        rot = RotaryEmbedding(dim=K).cuda()
        try:
            from fla.modules.fused_norm_gate import FusedRMSNormGated as N
        except ImportError:
            from fla.modules import FusedRMSNormGated as N
        norm = N(V, eps=1e-6).cuda().bfloat16()
        norm.weight.data.copy_(w)
        def call():
            a, b = rot(q, k)
            o, _ = chunk_retention(a, b, v)
            return norm(o, g)
        with torch.no_grad():
            y = call()[-1:].double().reshape(1, T, H, V); r = reference(q, k, v, g, w, B - 1)
            ms = timed(call)
            gr = torch.cuda.CUDAGraph()
            with torch.cuda.graph(gr): call()
            print("fla B=%d eager %.3f ms, one graph %.3f ms, retention alone %.3f ms, error %.2e" % (
                B, ms, timed(gr.replay), timed(lambda: chunk_retention(q, k, v)), ((y - r).norm() / r.norm()).item()))
