"""What files of KV caches have in common with the caches: kinds of layers, the pieces of keys and
values, and what tells models apart. Any thread.

A file is a safetensors file. Its tensors are [tokens, batch, heads, dim], each beginning at a page;
`cache` in its metadata is JSON of the model, of the layers, and of a SHA-256 for each piece.
"""
from __future__ import annotations

import hashlib

import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from spillway.torch.kv_layer import KvLayer
from spillway.torch.kv_tensor import by_token, piece_tokens

FORMAT, VERSION = "spillway-kv", 1
PAGE = 4096
DTYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
KINDS = {KvLayer: "full", DynamicLayer: "full", DynamicSlidingWindowLayer: "sliding"}
NAMES = ("keys", "values")
SAMPLES = 64  # of a weight


class CacheFileError(ValueError):
    """A file that is no cache, is damaged, or is of another model, dtype or version."""


class Plain:
    """Keys or values as transformers has them; as KvTensor to those who save."""

    def __init__(self, tensor: torch.Tensor):
        self._rows = by_token(tensor)
        self.dtype, self.length, self.shape = tensor.dtype, len(self._rows), self._rows.shape[1:]
        self.token_bytes = self.shape.numel() * tensor.element_size()

    def pieces(self):
        together = piece_tokens(self.token_bytes)
        return [(first, self._rows[first:first + together])
                for first in range(0, self.length, together)]


def tensors_of(number: int, layer) -> list:
    """The keys and values of a cache's layer, none where it is empty. ValueError where such a layer
    cannot be saved."""
    if type(layer) not in KINDS:
        kinds = ", ".join(sorted(kind.__name__ for kind in KINDS))
        raise ValueError(f"layer {number} of the cache is a {type(layer).__name__}, which cannot "
                         f"be saved: only {kinds} can")
    if not layer.is_initialized or layer.get_seq_length() == 0:
        return []
    if isinstance(layer, KvLayer):
        return [part if part.given is None else Plain(part.given) for part in layer.parts()]
    return [Plain(layer.keys), Plain(layer.values)]


def fingerprint(model: torch.nn.Module) -> dict:
    """The class, and a digest of samples of all parameters and buffers: models with the same one
    compute the same, but for single numbers that were changed."""
    samples, text = [], []
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            flat = tensor.detach().flatten()
            samples.append(flat[::max(1, flat.numel() // SAMPLES)][:SAMPLES].float())
            text.append(f"{name} {tuple(tensor.shape)} {tensor.dtype}")
        values = torch.cat(samples).cpu()
    digest = hashlib.sha256("\n".join(text).encode())
    digest.update(values.numpy().tobytes())
    return {"class": type(model).__name__, "weights": digest.hexdigest()}
