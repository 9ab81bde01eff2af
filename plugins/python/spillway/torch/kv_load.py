"""A KV cache from a file (kv_format.py), which is trusted in nothing. Any thread."""
from __future__ import annotations

import concurrent.futures
import ctypes
import hashlib
import json
import math
import os
from pathlib import Path

import torch
from transformers.cache_utils import DynamicCache

from spillway.torch.kv_format import (DTYPES, FORMAT, KINDS, NAMES, VERSION, CacheFileError, Plain,
                                      fingerprint)
from spillway.torch.kv_layer import KvLayer
from spillway.torch.kv_tensor import by_batch, piece_tokens

MOST_HEADER_BYTES = 64 << 20
THREADS = min(16, os.cpu_count() or 1)


def load_cache(path: str | os.PathLike, model: torch.nn.Module) -> DynamicCache:
    """The cache that save_cache() wrote, for the same model: pass it as `past_key_values` (`cache`
    in later versions of transformers) with the whole text, of which only what is new is computed.

    With streaming on it comes to host memory, and then to HBM as far as there is room. Raises
    CacheFileError for a file that is not whole, not ours, or of another model, dtype or version,
    OSError where it cannot be read, torch.OutOfMemoryError where it has no room."""
    path = Path(path)
    with open(path, "rb") as file:
        found = _Found(path, file.fileno())
        found.check_model(model)
        cache = DynamicCache(config=model.config)
        found.check_layers(cache.layers)
        device = next(model.parameters()).device
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            try:
                finish = [found.start(pool, number, layer, device)
                          for number, layer in enumerate(cache.layers)]
                for one in finish:
                    one()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return cache


class _Found:
    """A file's header, checked, and what reads its pieces."""

    def __init__(self, path: Path, descriptor: int):
        self._path, self._descriptor = path, descriptor
        size = os.fstat(self._descriptor).st_size
        length = int.from_bytes(os.pread(self._descriptor, 8, 0), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER_BYTES):
            raise self._error("is no saved cache" if length > MOST_HEADER_BYTES or size < 8 else
                              "is truncated: restore it, or save it again")
        try:
            header = json.loads(os.pread(self._descriptor, length, 8))
            meta = header.pop("__metadata__")
            kind, version = meta["format"], meta["version"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._error("is no saved cache") from None
        if kind != FORMAT:
            raise self._error("is no saved cache")
        if version != str(VERSION):
            raise self._error(f"is of version {version}, and this Spillway reads {VERSION}: "
                              f"compute the cache again, or use the Spillway that saved it")
        try:
            if hashlib.sha256(meta["cache"].encode()).hexdigest() != meta["sha256"]:
                raise ValueError
            ours = json.loads(meta["cache"])
            self.layers, self._dtype, self._digests = ours["layers"], ours["dtype"], ours["sha256"]
            self._model = {key: str(ours["model"][key]) for key in ("class", "weights")}
            self._entries = {name: (entry["shape"], entry["data_offsets"])
                             for name, entry in ours["tensors"].items()}
            itemsize = {name: dtype.itemsize for dtype, name in DTYPES.items()}[self._dtype]
            end = max(self._check_tensor(*one, itemsize) for one in self._tensors())
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise self._error("is damaged: its header is not what was saved") from None
        self._data = 8 + length
        if size < self._data + end:
            raise self._error(f"is truncated: {self._data + end} bytes were saved, {size} are "
                              f"there; restore it, or save it again")

    def _tensors(self):
        """(name, tokens)."""
        for number, layer in enumerate(self.layers):
            for which in NAMES if layer["tokens"] else ():
                yield f"layers.{number}.{which}", layer["tokens"]

    def _check_tensor(self, name: str, tokens: int, itemsize: int) -> int:
        """Where it ends. ValueError where it is no tensor of so many tokens."""
        (capacity, *shape), (begin, end) = self._entries[name]
        token_bytes = math.prod(shape) * itemsize
        fits = len(shape) == 3 and min(shape) > 0 and 0 < tokens <= capacity and begin >= 0 \
            and end - begin == capacity * token_bytes \
            and len(self._digests[name]) == -(-tokens // piece_tokens(token_bytes))
        if not fits:
            raise ValueError(name)
        return end

    def _error(self, what: str) -> CacheFileError:
        return CacheFileError(f"{self._path} {what}")

    def check_model(self, model: torch.nn.Module) -> None:
        dtype = DTYPES.get(model.dtype)
        if dtype != self._dtype:
            raise self._error(f"is of dtype {self._dtype}, and the model computes in "
                              f"{dtype or model.dtype}: load the model in the dtype of the cache")
        ours = fingerprint(model)
        if ours["class"] != self._model["class"]:
            raise self._error(f"is of a {self._model['class']}, and this model is a "
                              f"{ours['class']}")
        if ours != self._model:
            raise self._error(f"is of another {ours['class']}: its weights are not this model's")

    def check_layers(self, layers: list) -> None:
        kinds = [KINDS.get(type(layer)) for layer in layers]
        saved = [layer["kind"] for layer in self.layers]
        if kinds != saved:
            raise self._error(f"has {len(saved)} layers of kinds {sorted(set(saved))}, and the "
                              f"model's cache has {len(kinds)} of {sorted(set(map(str, kinds)))}")

    def start(self, pool, number: int, layer, device):
        """Reading the layer begins; what is returned waits for its end."""
        tokens, seen = self.layers[number]["tokens"], self.layers[number]["seen"]
        if not tokens:
            return lambda: None
        names = [f"layers.{number}.{which}" for which in NAMES]
        dtype = next(one for one, name in DTYPES.items() if name == self._dtype)
        likes = [torch.empty((1, *self._entries[name][0][1:]), dtype=dtype, device=device)
                 for name in names]
        layer.lazy_initialization(*map(by_batch, likes))
        tiers = layer.group.tiers if isinstance(layer, KvLayer) else None
        if tiers is not None and tiers.is_ours(device):
            tiers.hold(layer, likes, tokens)
            targets = layer.parts()
        else:
            tiers, rows = None, [torch.empty((tokens, *like.shape[1:]), dtype=dtype)
                                 for like in likes]
            targets = [Plain(by_batch(one)) for one in rows]
        jobs = [pool.submit(self._read, name, first * target.token_bytes, at, piece)
                for name, target in zip(names, targets)
                for at, (first, piece) in enumerate(target.pieces())]

        def finish():
            for job in jobs:
                job.result()
            if tiers is not None:
                layer.prefetch()
                return
            layer.keys, layer.values = (by_batch(one.to(device)).contiguous() for one in rows)
            if hasattr(layer, "cumulative_length"):
                layer.cumulative_length = seen
        return finish

    def _read(self, name: str, begin: int, number: int, rows: torch.Tensor) -> None:
        """A piece, into memory that the CPU reaches whatever torch calls its device."""
        size = rows.numel() * rows.element_size()
        view = memoryview((ctypes.c_uint8 * size).from_address(rows.data_ptr())).cast("B")
        at, done = self._data + self._entries[name][1][0] + begin, 0
        while done < size:
            got = os.preadv(self._descriptor, [view[done:]], at + done)
            if got == 0:
                raise self._error(f"has become shorter: {at + size} bytes are needed")
            done += got
        if hashlib.sha256(view).hexdigest() != self._digests[name][number]:
            raise self._error(f"is damaged: {size} bytes of {name} at {at} are not what was saved; "
                              f"restore it, or save it again")
