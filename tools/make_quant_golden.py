#!/usr/bin/env python3
"""Writes what the gguf package makes of random bytes with sane scales, for every dtype.

    python tools/make_quant_golden.py tests/golden     # needs: pip install gguf numpy

quants.bin has two blocks (64 values of float types). Per dtype: uint32 GGUF number, uint32 bytes,
uint32 values, the bytes, the values as float32; little-endian.

quant_hashes.txt has lines of a GGUF number and the hash of the values of many blocks, so many that
they use every entry of the codebooks. The test makes the same bytes (many_blocks here).

quantised_hashes.txt has lines of a GGUF number and the hash of the bytes that the package makes of
floats (golden_values here), for the dtypes that it can write as llama.cpp does.
"""
import struct
import sys
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

# Where the f16 scales lie in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ2_XXS": [0], "IQ2_XS": [0],
    "IQ3_XXS": [0], "IQ1_S": [0], "IQ4_NL": [0], "IQ3_S": [0], "IQ2_S": [0], "IQ4_XS": [0],
    "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}
MANY_BLOCKS = 1024


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
    if name == "IQ1_M":  # the scale's nibbles lie on top of four uint16
        blocks[:, 49] = blocks[:, 49] & 15 | 0x60
        blocks[:, 51:57:2] = blocks[:, 51:57:2] & 15 | np.array([0xA0, 0xA0, 0x20], np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = [1, 118]
    return blocks.reshape(-1)


def many_blocks(name: str, block_bytes: int) -> np.ndarray:
    """From Knuth's generator; every f16 scale is 0.1, IQ1_M's as its bytes fall, positive."""
    state, bytes_ = 1, bytearray()
    for _ in range(MANY_BLOCKS * block_bytes):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        bytes_.append(state >> 56)
    blocks = np.frombuffer(bytes_, np.uint8).reshape(MANY_BLOCKS, block_bytes).copy()
    for offset in SCALES[name]:
        blocks[:, offset:offset + 2] = np.array([0.1], np.float16).view(np.uint8)
    if name == "IQ1_M":
        blocks[:, 55] = blocks[:, 55] & 15 | 0x20
    return blocks.reshape(-1)


def hash_of(values: np.ndarray) -> int:
    """Sum of the values' bits, each times its place: order matters, and numpy is quick at it."""
    bits = values.reshape(-1).astype("<f4").view(np.uint32).astype(np.uint64)
    return int(np.sum(bits * np.arange(1, bits.size + 1, dtype=np.uint64), dtype=np.uint64))


def write_hashes(path: Path) -> None:
    lines = []
    for name in SCALES:
        dtype = GGMLQuantizationType[name]
        data = many_blocks(name, GGML_QUANT_SIZES[dtype][1])
        lines.append(f"{dtype.value} {hash_of(dequantize(data, dtype))}\n")
    path.write_text("".join(lines))


def golden_values() -> np.ndarray:
    state, values = 1, []
    for _ in range(32768):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 40) - 2**23)
    values = np.array(values, np.float32) * np.float32(2**-22)
    return values * values * values


def write_quantised_hashes(path: Path) -> None:
    lines, values = [], golden_values()
    for name in ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        dtype = GGMLQuantizationType[name]
        data = quantize(values, dtype).view(np.uint8).reshape(-1).astype(np.uint64)
        places = np.arange(1, data.size + 1, dtype=np.uint64)
        lines.append(f"{dtype.value} {int(np.sum(data * places, dtype=np.uint64))}\n")
    path.write_text("".join(lines))


def main(folder: str) -> None:
    write_hashes(Path(folder) / "quant_hashes.txt")
    write_quantised_hashes(Path(folder) / "quantised_hashes.txt")
    random = np.random.default_rng(20240607)
    with open(Path(folder) / "quants.bin", "wb") as out:
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
