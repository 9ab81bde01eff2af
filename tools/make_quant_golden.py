#!/usr/bin/env python3
"""Writes tests/golden/quants.bin: two blocks (64 values of float types) of random bytes with sane
scales per dtype, and what the gguf package makes of them.

    python tools/make_quant_golden.py tests/golden/quants.bin     # needs: pip install gguf numpy

File: per dtype, uint32 GGUF number, uint32 bytes, uint32 values, the bytes, the values as float32;
little-endian.
"""
import struct
import sys

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# Where the f16 scales lie in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def random_rows(name: str, block_bytes: int, random: np.random.Generator) -> np.ndarray:
    if name in ("F32", "F16", "BF16"):
        values = random.normal(size=64).astype(np.float32)
        if name == "F16":
            values[60:] = [6e-8, -3e-5, 65504, 0]
            return values.astype(np.float16).view(np.uint8)
        if name == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
        return values.view(np.uint8)
    blocks = random.integers(0, 256, size=(2, block_bytes), dtype=np.uint8)
    for offset in SCALES[name]:
        scales = random.normal(scale=0.05, size=(2, 1)).astype(np.float16)
        blocks[:, offset:offset + 2] = scales.view(np.uint8)
    return blocks.reshape(-1)


def main(path: str) -> None:
    random = np.random.default_rng(20240607)
    with open(path, "wb") as out:
        for name in ("F32", "F16", "BF16", *SCALES):
            dtype = GGMLQuantizationType[name]
            data = random_rows(name, GGML_QUANT_SIZES[dtype][1], random)
            # The package reads F16 and F32 as arrays of these types.
            view = {"F32": np.float32, "F16": np.float16}.get(name, np.uint8)
            values = dequantize(data.view(view), dtype).reshape(-1).astype("<f4")
            out.write(struct.pack("<III", dtype.value, data.size, values.size))
            out.write(data.tobytes() + values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
