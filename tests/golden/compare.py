#!/usr/bin/env python3
"""Compares logits that Spillway wrote with the float reference, and with llama.cpp's.

usage: compare.py MODEL.gguf DUMP.f32 STATS.json [--positions 64] [--kv f16|f32] [--llama]
       [--max-l2 X] [--mean-l2 X] [--mean-kl X]
DUMP and STATS come from one `spillway run MODEL TEXT --raw -n N --dump-logits DUMP --stats STATS`.
Exit code 1 where a bound does not hold.
"""
import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np


@dataclasses.dataclass
class Distance:
    """How far logits are from the reference, over the positions compared."""
    positions: int
    max_l2: float  # relative, of one position
    mean_l2: float
    mean_kl: float  # of the reference's distribution from the other, in nats
    same_argmax: float

    def __str__(self):
        return (f"{self.positions} positions: relative L2 max {self.max_l2:.2e} "
                f"mean {self.mean_l2:.2e}, KL mean {self.mean_kl:.2e}, "
                f"same first choice {self.same_argmax:.3f}")


def relative_l2(logits, reference):
    difference = logits.astype(np.float64) - reference
    return np.linalg.norm(difference, axis=1) / np.linalg.norm(reference, axis=1)


def log_softmax(logits):
    logits = logits.astype(np.float64)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def divergence(logits, reference):
    """Kullback-Leibler divergence of each position, reference first."""
    p, q = log_softmax(reference), log_softmax(logits)
    return np.sum(np.exp(p) * (p - q), axis=1)


def distance(logits, reference):
    if logits.shape != reference.shape:
        raise ValueError(f"{logits.shape} logits against {reference.shape} of the reference")
    if not np.isfinite(logits).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(logits))} logits are not finite")
    l2 = relative_l2(logits, reference)
    agree = np.mean(logits.argmax(axis=1) == reference.argmax(axis=1))
    return Distance(len(logits), float(l2.max()), float(l2.mean()),
                    float(divergence(logits, reference).mean()), float(agree))


def read_dump(path, vocabulary):
    """A --dump-logits file: float32 [positions, vocabulary]."""
    values = np.fromfile(path, "<f4")
    if values.size == 0 or values.size % vocabulary:
        raise ValueError(f"{path}: {values.size} floats are no rows of {vocabulary}")
    return values.reshape(-1, vocabulary)


def evaluated_tokens(stats):
    """The token that each row of the dump was computed from: all but the last one."""
    return (stats["prompt_token_ids"] + stats["token_ids"])[:-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("dump")
    parser.add_argument("stats")
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--kv", choices=["f16", "f32"], default="f16", help="of llama.cpp")
    parser.add_argument("--llama", action="store_true", help="also llama.cpp's distance")
    for bound in ("max-l2", "mean-l2", "mean-kl"):
        parser.add_argument("--" + bound, type=float, default=np.inf)
    options = parser.parse_args()

    from reference import Reference
    reference = Reference(options.model)
    tokens = evaluated_tokens(json.loads(Path(options.stats).read_text()))
    dump = read_dump(options.dump, len(reference.head))
    if len(dump) != len(tokens):
        sys.exit(f"compare: {len(dump)} rows of logits for {len(tokens)} tokens")
    tokens = tokens[:options.positions]
    expected = reference.logits(tokens)
    found = distance(dump[:len(tokens)], expected)
    print("spillway ", found)
    if options.llama:
        import llama_cpp_peer
        kv = {"f16": llama_cpp_peer.F16, "f32": llama_cpp_peer.F32}[options.kv]
        print("llama.cpp", distance(llama_cpp_peer.logits(options.model, tokens, kv), expected))
    good = (found.max_l2 <= options.max_l2 and found.mean_l2 <= options.mean_l2
            and found.mean_kl <= options.mean_kl)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
