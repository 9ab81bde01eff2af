#!/usr/bin/env python3
"""`spillway quantize` against llama.cpp's quantiser (package llama-cpp-python), type by type: the
perplexity of both files by `spillway perplexity`, that of ours by llama.cpp, and how far both are
from the weights that they were made of.

usage: quantise.py [MODEL.gguf] [--chunks 8] [--types Q4_0 …] [--text FILE]
Needs the packages llama-cpp-python, gguf and numpy; the files are made in a temporary folder.
Ends with 1 where a perplexity is more than 1 % above llama.cpp's.
"""
import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp.llama_cpp as bindings
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "golden"))

import files  # noqa: E402
import llama_cpp_peer as peer  # noqa: E402

PROGRAM = ROOT / "build" / "release" / "bin" / "spillway"
TYPES = {"Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7, "Q4_K_S": 14, "Q4_K_M": 15,
         "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18}  # llama_ftype
MOST_WORSE = 0.01
QUIET = bindings.llama_log_callback(lambda level, text, data: None)  # must outlive the last call


def spillway(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"spillway {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def perplexity(model, options):
    return json.loads(spillway("perplexity", model, options.text, "--chunks", options.chunks,
                               "--json"))["perplexity"]


def quantise_as_llama_cpp(source, out, number):
    parameters = bindings.llama_model_quantize_default_params()
    parameters.ftype = number
    if bindings.llama_model_quantize(str(source).encode(), str(out).encode(),
                                     ctypes.byref(parameters)):
        sys.exit(f"llama.cpp did not quantise {source}")


def values(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)


def compare_tensors(source, ours, theirs):
    """How many tensors have other dtypes than llama.cpp's, how many other bytes, and our squared
    error over its, for the dtypes whose bytes differ."""
    original = {one.name: one for one in gguf.GGUFReader(source).tensors}
    other = {one.name: one for one in gguf.GGUFReader(theirs).tensors}
    unlike, changed, errors = 0, 0, {}
    for tensor in gguf.GGUFReader(ours).tensors:
        peers = other[tensor.name]
        if tensor.tensor_type != peers.tensor_type:
            unlike += 1
        elif not np.array_equal(tensor.data, peers.data):
            changed += 1
            exact = values(original[tensor.name])
            sums = errors.setdefault(tensor.tensor_type.name, [0.0, 0.0])
            sums[0] += np.sum((values(tensor) - exact) ** 2)
            sums[1] += np.sum((values(peers) - exact) ** 2)
    return unlike, changed, {name: a / b for name, (a, b) in errors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=files.MODEL)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--types", nargs="+", default=list(TYPES), choices=TYPES)
    parser.add_argument("--text", type=Path, default=files.WIKI)
    options = parser.parse_args()
    bindings.llama_log_set(QUIET, ctypes.c_void_p())
    worse = []
    with tempfile.TemporaryDirectory(prefix="spillway-quantise-") as folder:
        source, ours, theirs = (Path(folder) / f"{name}.gguf" for name in ("f16", "ours", "theirs"))
        spillway("quantize", options.model, source, "F16", "--allow-requantize")
        print(f"F16: perplexity {perplexity(source, options):.4f} over {options.chunks} chunks")
        print("| type | ours | llama.cpp's | ratio | ours read by llama.cpp | other dtypes "
              "| other bytes | squared error, ours / llama.cpp's |\n|" + "---|" * 8)
        for name in options.types:
            spillway("quantize", source, ours, name, "--force")
            quantise_as_llama_cpp(source, theirs, TYPES[name])
            a, b = perplexity(ours, options), perplexity(theirs, options)
            read = peer.perplexity(ours, options.text.read_bytes(), options.chunks)
            unlike, changed, errors = compare_tensors(source, ours, theirs)
            said = ", ".join(f"{dtype} {ratio:.4f}" for dtype, ratio in errors.items())
            print(f"| {name} | {a:.4f} | {b:.4f} | {a / b:.4f} | {read:.4f} | {unlike} | {changed} "
                  f"| {said or 'the same'} |", flush=True)
            if a > (1 + MOST_WORSE) * b:
                worse.append(name)
    if worse:
        sys.exit(f"more than {MOST_WORSE:.0%} worse than llama.cpp's: {', '.join(worse)}")


if __name__ == "__main__":
    main()
