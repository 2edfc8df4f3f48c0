"""Random-weight models of real shapes for measuring speed. Outside the repository: they are gigabytes.

    python3 tests/bench/make_models.py OUT_DIR --quantize /path/to/llama-quantize --tokenizers ../shared/data/tokenizers

    qwen2.5-0.5b   Qwen2.5-0.5B: 24 layers, dim 896, ffn 4864, 14 heads on 2, vocabulary 151936, tied head
    llama3.2-1b    Llama-3.2-1B: 16 layers, dim 2048, ffn 8192, 32 heads on 8, vocabulary 128256, tied head, Llama 3 rope scaling

Weights are Gaussian (sigma 0.02, norms near 1), written as F16 and quantised by llama.cpp's own tool, so that every program
measured reads the same bytes. Type names: a plain one (`q4_0`) is --pure, every matrix of that type; `-mix` is the tool's usual
choice per tensor, which gives a tied head more bits. The tokenizer's keys are copied from the vocabulary files.
"""

import argparse
import os
import subprocess
import sys
import zlib

import gguf
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
from write_gguf import llama3_divisors  # noqa: E402

SIGMA = 0.02
SHAPES = {
    "qwen2.5-0.5b": dict(arch="qwen2", layers=24, dim=896, ffn=4864, heads=14, kv=2, head_dim=64, vocab=151936, ctx=32768,
                         rope=dict(rope_theta=1e6), tokenizer="ggml-vocab-qwen2.gguf", bias=True),
    "llama3.2-1b": dict(arch="llama", layers=16, dim=2048, ffn=8192, heads=32, kv=8, head_dim=64, vocab=128256, ctx=131072,
                        rope=dict(rope_theta=5e5, factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                  original_max_position_embeddings=8192), tokenizer="ggml-vocab-llama-bpe.gguf", bias=False),
}
TYPES = {
    "qwen2.5-0.5b": ["q4_0", "q8_0", "q4_0-mix", "q4_k_m-mix"],
    "llama3.2-1b": ["q4_k", "q6_k", "q4_0", "q8_0"],
}


def copy_tokenizer(writer, path, vocab):
    """Every tokenizer.* key of `path`; lists of tokens are filled up to the vocabulary as published files are."""
    fields = gguf.GGUFReader(path).fields
    for key, field in fields.items():
        if not key.startswith("tokenizer."):
            continue
        value = field.contents()
        if field.types[0] != gguf.GGUFValueType.ARRAY:
            writer.add_key_value(key, value, field.types[0])
            continue
        if key.endswith(".tokens"):
            value = value + [f"[PAD{i}]" for i in range(len(value), vocab)]
        if key.endswith(".token_type"):
            value = value + [int(gguf.TokenType.UNUSED)] * (vocab - len(value))
        writer.add_array(key, value)


def tensors(name, s):
    """(name, array) of each tensor in file order; matrices are F16, vectors F32."""
    def matrix(key, rows, cols):
        draw = np.random.Generator(np.random.SFC64(zlib.crc32(f"{name}/{key}".encode())))
        return key, (draw.standard_normal((rows, cols), dtype=np.float32) * SIGMA).astype(np.float16)

    def vector(key, size, centre):
        draw = np.random.Generator(np.random.SFC64(zlib.crc32(f"{name}/{key}".encode())))
        return key, (centre + SIGMA * draw.standard_normal(size)).astype(np.float32)

    q, kv = s["heads"] * s["head_dim"], s["kv"] * s["head_dim"]
    yield matrix("token_embd.weight", s["vocab"], s["dim"])
    yield vector("output_norm.weight", s["dim"], 1.0)
    if s["arch"] == "llama":
        yield "rope_freqs.weight", llama3_divisors(s["rope"], s["head_dim"])
    for i in range(s["layers"]):
        blk = f"blk.{i}."
        yield vector(blk + "attn_norm.weight", s["dim"], 1.0)
        for part, rows in (("attn_q", q), ("attn_k", kv), ("attn_v", kv)):
            yield matrix(f"{blk}{part}.weight", rows, s["dim"])
            if s["bias"]:
                yield vector(f"{blk}{part}.bias", rows, 0.0)
        yield matrix(blk + "attn_output.weight", s["dim"], q)
        yield vector(blk + "ffn_norm.weight", s["dim"], 1.0)
        yield matrix(blk + "ffn_gate.weight", s["ffn"], s["dim"])
        yield matrix(blk + "ffn_up.weight", s["ffn"], s["dim"])
        yield matrix(blk + "ffn_down.weight", s["dim"], s["ffn"])


def write_f16(path, name, s, tokenizers):
    w = gguf.GGUFWriter(path, s["arch"])
    w.add_name(f"{name} shape, random weights")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_block_count(s["layers"])
    w.add_context_length(s["ctx"])
    w.add_embedding_length(s["dim"])
    w.add_feed_forward_length(s["ffn"])
    w.add_head_count(s["heads"])
    w.add_head_count_kv(s["kv"])
    w.add_rope_freq_base(s["rope"]["rope_theta"])
    w.add_layer_norm_rms_eps(1e-6 if s["arch"] == "qwen2" else 1e-5)
    if s["arch"] == "llama":
        w.add_rope_dimension_count(s["head_dim"])
        w.add_key_length(s["head_dim"])
        w.add_value_length(s["head_dim"])
        w.add_vocab_size(s["vocab"])
    copy_tokenizer(w, os.path.join(tokenizers, s["tokenizer"]), s["vocab"])
    for key, data in tensors(name, s):
        w.add_tensor(key, data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("out")
    ask.add_argument("--quantize", required=True, help="path of llama-quantize")
    ask.add_argument("--tokenizers", required=True, help="folder of ggml-vocab-*.gguf")
    ask.add_argument("--shape", choices=SHAPES, action="append")
    ask.add_argument("--threads", default="2")
    a = ask.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for name in a.shape or SHAPES:
        f16 = os.path.join(a.out, f"{name}-f16.gguf")
        if not os.path.exists(f16):
            write_f16(f16 + ".tmp", name, SHAPES[name], a.tokenizers)
            os.rename(f16 + ".tmp", f16)
        for kind in TYPES[name]:
            path = os.path.join(a.out, f"{name}-{kind}.gguf")
            if os.path.exists(path):
                continue
            pure = [] if kind.endswith("-mix") else ["--pure"]
            subprocess.run([a.quantize, *pure, f16, path + ".tmp", kind.removesuffix("-mix").upper(), a.threads], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.rename(path + ".tmp", path)
            print(f"{path}  {os.path.getsize(path) / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
