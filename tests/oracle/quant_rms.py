#!/usr/bin/env python3
"""RMS error of arklet's encoders and of llama.cpp's reference quantiser on the same data, type by type.

Ours is called through a shared object built from quant/; theirs through ggml_quantize_chunk of libggml-base
(the one inside the package llama-cpp-python 0.3.36, or any given with --ggml). Both results are decoded by
the numpy reference of the package gguf. Data: Gaussian, Laplace with outliers, rows of mixed scale, and the
matrices of any F32 GGUF given with --gguf.

    VENV/bin/pip install gguf==0.19.0 numpy==2.4.6 llama-cpp-python==0.3.36
    VENV/bin/python tests/oracle/quant_rms.py [--ggml LIB] [--gguf MODEL] [--rows N]
"""
import argparse
import ctypes
import glob
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from gguf import GGMLQuantizationType, GGML_QUANT_SIZES, GGUFReader
from gguf.quants import dequantize

TYPES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL Q2_K Q3_K Q4_K Q5_K Q6_K".split()
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def build_ours(folder):
    names = "half dtype decode decode_k encode encode_fit encode_super encode_k".split()
    out = os.path.join(folder, "libquant.so")
    subprocess.check_call(
        ["cc", "-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared",
         "-fno-semantic-interposition",
         "-I" + os.path.join(ROOT, "include"), "-o", out] + [os.path.join(ROOT, "quant", n + ".c") for n in names])
    return ctypes.CDLL(out)


def find_ggml(given):
    if given:
        return given
    import llama_cpp
    found = glob.glob(os.path.join(os.path.dirname(llama_cpp.__file__), "**", "libggml-base*"), recursive=True)
    if not found:
        sys.exit("quant_rms.py: no libggml-base in llama_cpp: give --ggml")
    return found[0]


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class Encoders:
    def __init__(self, ours, ggml):
        self.encode = ours.dtype_encode_row
        self.encode.restype = None
        self.encode.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self.chunk = ggml.ggml_quantize_chunk
        self.chunk.restype = ctypes.c_size_t
        self.chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                               ctypes.c_int64, ctypes.c_void_p]

    def run(self, name, data, ours):
        kind = GGMLQuantizationType[name]
        length, size = GGML_QUANT_SIZES[kind]
        rows, cols = data.shape
        out = np.zeros((rows, cols // length * size), dtype=np.uint8)
        start = time.process_time()
        if ours:
            self.encode(kind.value, pointer(out), pointer(data), rows * cols)
        else:
            self.chunk(kind.value, pointer(data), pointer(out), 0, rows, cols, None)
        seconds = time.process_time() - start
        error = dequantize(out, kind).astype(np.float64) - data
        return np.sqrt(np.mean(error ** 2)), data.nbytes / seconds / 1e6


def datasets(rows, gguf):
    rng = np.random.default_rng(7)
    yield "gauss", rng.normal(0, 0.02, (rows, 1024))
    laplace = rng.laplace(0, 0.02, (rows, 1024))
    laplace[rng.random(laplace.shape) < 0.002] *= 20
    yield "laplace+outliers", laplace
    yield "mixed rows", rng.normal(0, 1, (rows, 1024)) * np.exp(rng.normal(-4, 1, (rows, 1024 // 32)).repeat(32, 1))
    if gguf:
        parts = [np.asarray(t.data, dtype=np.float32).ravel() for t in GGUFReader(gguf).tensors if len(t.shape) == 2]
        flat = np.concatenate(parts)
        yield os.path.basename(gguf), flat[:flat.size // 256 * 256].reshape(-1, 256)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ggml")
    parser.add_argument("--gguf")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--types", default=" ".join(TYPES))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        encoders = Encoders(build_ours(folder), ctypes.CDLL(find_ggml(args.ggml)))
        print(f"{'type':7} {'data':22} {'ours':>11} {'llama.cpp':>11} {'ratio':>7} {'MB/s':>7} {'their':>7}")
        for label, data in datasets(args.rows, args.gguf):
            data = np.ascontiguousarray(data, dtype=np.float32)
            for name in args.types.split():
                ours, speed = encoders.run(name, data, True)
                theirs, their_speed = encoders.run(name, data, False)
                print(f"{name:7} {label:22} {ours:11.5e} {theirs:11.5e} {ours / theirs:7.4f} {speed:7.1f} {their_speed:7.1f}",
                      flush=True)


if __name__ == "__main__":
    main()
