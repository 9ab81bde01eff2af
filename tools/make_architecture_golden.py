#!/usr/bin/env python3
"""Writes what transformers computes for the tiny models of tests/golden/tiny_models.py.

usage: make_architecture_golden.py [OUT.npz]      (needs torch, transformers, gguf)
Default: tests/golden/architectures.npz, float32 [positions, vocabulary] of each model, and ids.
"""
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "golden"))

import tiny_models


def ids_of_text():
    """The tokens of the text, by the two steps of byte-level BPE that the vocabulary needs."""
    texts = tiny_models.tokens()
    pieces = [letter.replace(" ", "\u0120") for letter in tiny_models.TEXT]
    for a, b in tiny_models.MERGES:
        i = 0
        while i + 1 < len(pieces):
            if (pieces[i], pieces[i + 1]) == (a, b):
                pieces[i:i + 2] = [a + b]
            i += 1
    return [texts.index(piece) for piece in pieces]


def logits(name, ids, folder):
    tiny_models.write_folder(name, folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests" / "golden" / "architectures.npz"
    ids = ids_of_text()
    results = {"ids": np.array(ids, np.int32)}
    for name in tiny_models.CONFIGS:
        with tempfile.TemporaryDirectory() as folder:
            results[name] = logits(name, ids, folder)
        print(name, results[name].shape, np.abs(results[name]).max())
    np.savez_compressed(out, **results)


if __name__ == "__main__":
    main()
