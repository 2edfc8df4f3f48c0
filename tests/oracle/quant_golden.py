#!/usr/bin/env python3
"""Writes fixtures/golden/quant_decode.txt: blocks of every quantised type with the f32 bits of their values.

The blocks are random bytes with f16 scales of chosen kinds (ordinary, denormal, negative); the values are
decoded by the reference implementation in numpy that the GGUF project publishes. tests/test_dtype.c reads
the file and compares bit for bit. A line is: type, block bytes in hex, little-endian f32 values in hex.

    python3 -m venv VENV && VENV/bin/pip install gguf==0.19.0 numpy==2.4.6
    VENV/bin/python tests/oracle/quant_golden.py > fixtures/golden/quant_decode.txt
"""
import importlib.metadata
import sys

import numpy as np
from gguf import GGMLQuantizationType, GGML_QUANT_SIZES
from gguf.quants import dequantize

PINNED = {"gguf": "0.19.0", "numpy": "2.4.6"}
SEED = 20240607
# type -> offsets of its f16 fields, blocks to write
TYPES = {
    "Q8_0": ([0], 3), "Q4_0": ([0], 3), "Q4_1": ([0, 2], 3), "Q5_0": ([0], 3), "Q5_1": ([0, 2], 3),
    "IQ4_NL": ([0], 3), "Q2_K": ([80, 82], 2), "Q3_K": ([108], 2), "Q4_K": ([0, 2], 2), "Q5_K": ([0, 2], 2),
    "Q6_K": ([208], 2),
}
SCALES = [0.0123, -1.75, 3.0e-6]  # by block: ordinary, negative, an f16 denormal


def blocks(rng, name):
    offsets, count = TYPES[name]
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    for i in range(count):
        block = rng.integers(0, 256, size, dtype=np.uint8)
        for k, offset in enumerate(offsets):
            scale = np.float16(SCALES[i] * (1 if k == 0 else 0.37))
            block[offset:offset + 2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
        yield block


def main():
    for package, version in PINNED.items():
        found = importlib.metadata.version(package)
        if found != version:
            sys.exit(f"quant_golden.py: {package} {version} is pinned, found {found}")
    rng = np.random.default_rng(SEED)
    print("# made by tests/oracle/quant_golden.py with " + ", ".join(f"{p} {v}" for p, v in PINNED.items()))
    for name in TYPES:
        for block in blocks(rng, name):
            values = dequantize(block, GGMLQuantizationType[name]).astype("<f4")
            print(name, block.tobytes().hex(), values.tobytes().hex())


if __name__ == "__main__":
    main()
