#!/usr/bin/env python3
"""An independent Llama forward pass in numpy: what Spillway's logits are judged against.

usage: reference.py MODEL.gguf OUT.f32 --tokens 1,403,407 [--number float64]   (needs `gguf`)

Weights are dequantised by the `gguf` package; nothing here is shared with the C++ code. Written
for clarity: the whole sequence goes through each layer at once. OUT holds float32
[positions, vocabulary], the layout of `spillway run --dump-logits`.
"""
import argparse
import dataclasses
from pathlib import Path

import gguf
import numpy as np


@dataclasses.dataclass
class Config:
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_dims: int
    rope_base: float
    epsilon: float


def read_config(reader):
    def value(key, default=None):
        field = reader.fields.get("llama." + key)
        if field is None and default is None:
            raise ValueError(f"the file has no llama.{key}: only the Llama family is known here")
        return default if field is None else field.contents()

    heads = value("attention.head_count")
    head_dim = value("attention.key_length", value("embedding_length") // heads)
    return Config(layers=value("block_count"), heads=heads,
                  kv_heads=value("attention.head_count_kv", heads), head_dim=head_dim,
                  rope_dims=value("rope.dimension_count", head_dim),
                  rope_base=value("rope.freq_base", 10000.0),
                  epsilon=value("attention.layer_norm_rms_epsilon"))


class Reference:
    """One model. `number` is the type of every weight and of all arithmetic."""

    def __init__(self, path, number=np.float32):
        self.reader = gguf.GGUFReader(path)
        self.number = np.dtype(number)
        self.config = read_config(self.reader)
        self.weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(self.number)
                        for t in self.reader.tensors}
        self.head = self.weights.get("output.weight", self.weights["token_embd.weight"])

    def logits(self, tokens):
        """Logits after each of the tokens: [positions, vocabulary]."""
        x, _ = self.run(tokens, self.empty_cache())
        return x @ self.head.T

    def greedy(self, tokens, count):
        """The `count` most likely tokens that follow, one by one."""
        tokens, cache, pending = list(tokens), self.empty_cache(), list(tokens)
        for _ in range(count):
            x, cache = self.run(pending, cache)
            pending = [int(np.argmax(x[-1] @ self.head.T))]
            tokens += pending
        return tokens[-count:] if count else []

    def empty_cache(self):
        empty = np.zeros((0, self.config.kv_heads, self.config.head_dim), self.number)
        return [(empty, empty)] * self.config.layers

    def run(self, tokens, cache):
        """Final normed states [tokens, dim] and the cache with these tokens behind the old ones."""
        start = cache[0][0].shape[0]
        x = self.weights["token_embd.weight"][np.asarray(tokens)]
        turn = self.rotation(start, len(tokens))
        grown = []
        for layer in range(self.config.layers):
            def weight(kind):
                return self.weights[f"blk.{layer}.{kind}.weight"]
            attended, entry = self.attention(self.norm(x, weight("attn_norm")), weight, turn,
                                             cache[layer])
            grown.append(entry)
            x = x + attended
            normed = self.norm(x, weight("ffn_norm"))
            gate = normed @ weight("ffn_gate").T
            gate = gate / (1 + np.exp(-gate))
            x = x + (gate * (normed @ weight("ffn_up").T)) @ weight("ffn_down").T
        return self.norm(x, self.weights["output_norm.weight"]), grown

    def attention(self, x, weight, turn, cached):
        c = self.config
        q = (x @ weight("attn_q").T).reshape(len(x), c.heads, c.head_dim)
        k = (x @ weight("attn_k").T).reshape(len(x), c.kv_heads, c.head_dim)
        v = (x @ weight("attn_v").T).reshape(len(x), c.kv_heads, c.head_dim)
        keys = np.concatenate([cached[0], self.rotate(k, turn)])
        values = np.concatenate([cached[1], v])
        group = c.heads // c.kv_heads  # query heads that share one head of keys
        scores = np.einsum("qhd,khd->hqk", self.rotate(q, turn), keys.repeat(group, axis=1))
        scores = scores / np.sqrt(self.number.type(c.head_dim))
        start = len(keys) - len(x)
        later = np.arange(len(keys))[None, :] > start + np.arange(len(x))[:, None]
        scores = np.where(later[None], -np.inf, scores)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = shares / shares.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, values.repeat(group, axis=1))
        return mixed.reshape(len(x), -1) @ weight("attn_output").T, (keys, values)

    def norm(self, x, weight):
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + self.number.type(self.config.epsilon)) * weight

    def rotation(self, start, count):
        """cos and sin of each position's angles: two of [tokens, 1, rope_dims / 2]."""
        c = self.config
        frequency = c.rope_base ** (-np.arange(0, c.rope_dims, 2, dtype=np.float64) / c.rope_dims)
        if "rope_freqs.weight" in self.weights:  # Llama 3.1's long-context factors
            frequency = frequency / self.weights["rope_freqs.weight"].astype(np.float64)
        angle = np.arange(start, start + count, dtype=np.float64)[:, None] * frequency
        return (np.cos(angle)[:, None].astype(self.number),
                np.sin(angle)[:, None].astype(self.number))

    def rotate(self, x, turn):
        """Turns neighbouring pairs, the layout of the "llama" architecture in GGUF."""
        cosine, sine = turn
        dims = self.config.rope_dims
        even, odd = x[..., 0:dims:2], x[..., 1:dims:2]
        out = x.copy()
        out[..., 0:dims:2] = even * cosine - odd * sine
        out[..., 1:dims:2] = even * sine + odd * cosine
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--tokens", required=True, help="ids, separated by commas")
    parser.add_argument("--number", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    tokens = [int(token) for token in options.tokens.split(",")]
    logits = Reference(options.model, options.number).logits(tokens)
    Path(options.out).write_bytes(logits.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
