"""A KV cache to a file (kv_format.py). It is written beside its path and takes its place when all
of it is on the disk: a crash leaves what was there before. Any thread; nobody else uses the cache
meanwhile."""
from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fcntl
import hashlib
import json
import os
from pathlib import Path

import torch
from transformers.cache_utils import DynamicCache

from spillway.torch.kv_format import (DTYPES, FORMAT, KINDS, NAMES, PAGE, VERSION, fingerprint,
                                      tensors_of)
from spillway.torch.kv_tensor import piece_tokens
from spillway.torch.sizes import format_size

THREADS = min(16, os.cpu_count() or 1)


def save_cache(cache: DynamicCache, path: str | os.PathLike, model: torch.nn.Module) -> None:
    """Writes a cache that `model` has filled. ValueError for layers of a kind that cannot be saved,
    OSError where it cannot be written: then `path` is as it was before."""
    path = Path(path)
    if not isinstance(cache, DynamicCache):
        raise ValueError(f"a {type(cache).__name__} cannot be saved, only a DynamicCache can")
    plan = _Layout(cache, fingerprint(model))
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise OSError(errno.EBUSY, "somebody else is saving there", str(path)) from None
    try:
        os.ftruncate(descriptor, 0)
        _allocate(descriptor, plan, path)
        plan.digests = _write(descriptor, plan)
        _write_all(descriptor, plan.header(), 0)
        os.fsync(descriptor)
        os.replace(partial, path)
        _sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    finally:
        os.close(descriptor)


class _Layout:
    """Where what of a cache lies in its file."""

    def __init__(self, cache: DynamicCache, model: dict):
        self._layers = [(layer, tensors_of(number, layer))
                        for number, layer in enumerate(cache.layers)]
        self._model = model
        self._dtype = self._one_dtype()
        self.digests: dict[str, list[str]] = {}
        self.starts: dict[str, int] = {}
        self._entries = {}
        self.data_bytes = 0
        for name, tensor in self.tensors():
            tokens = tensor.length
            while tokens * tensor.token_bytes % PAGE:
                tokens += 1
            begin, self.data_bytes = self.data_bytes, self.data_bytes + tokens * tensor.token_bytes
            self.starts[name] = begin
            self._entries[name] = {"dtype": self._dtype, "shape": [tokens, *tensor.shape],
                                   "data_offsets": [begin, self.data_bytes]}
            self.digests[name] = ["0" * 64] * -(-tensor.length // piece_tokens(tensor.token_bytes))
        self.header_bytes = -(-len(self._text()) // PAGE) * PAGE

    def _one_dtype(self) -> str:
        found = {tensor.dtype for _, tensor in self.tensors()}
        if not found:
            raise ValueError("the cache is empty: there is nothing to save")
        if len(found) > 1 or not found <= set(DTYPES):
            raise ValueError(f"the cache is of {', '.join(sorted(map(str, found)))}, which cannot "
                             f"be saved: only one of {', '.join(map(str, DTYPES))} can")
        return DTYPES[found.pop()]

    def tensors(self):
        """(name, keys or values)."""
        for number, (_, tensors) in enumerate(self._layers):
            for which, tensor in zip(NAMES, tensors):
                yield f"layers.{number}.{which}", tensor

    def _text(self) -> bytes:
        layers = [{"kind": KINDS[type(layer)], "seen": layer.get_seq_length() if tensors else 0,
                   "tokens": tensors[0].length if tensors else 0}
                  for layer, tensors in self._layers]
        ours = json.dumps({"model": self._model, "dtype": self._dtype, "layers": layers,
                           "tensors": self._entries, "sha256": self.digests})
        text = json.dumps({"__metadata__": {
            "format": FORMAT, "version": str(VERSION), "cache": ours,
            "sha256": hashlib.sha256(ours.encode()).hexdigest()}, **self._entries})
        return len(text).to_bytes(8, "little") + text.encode()

    def header(self) -> bytes:
        text = self._text()[8:].ljust(self.header_bytes - 8)
        return len(text).to_bytes(8, "little") + text


def _allocate(descriptor: int, plan: _Layout, path: Path) -> None:
    size = plan.header_bytes + plan.data_bytes
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            return os.ftruncate(descriptor, size)
        free = os.statvfs(path.parent)
        raise OSError(error.errno, f"saving the cache takes {format_size(size)}, and "
                      f"{format_size(free.f_bavail * free.f_frsize)} are free: "
                      f"{os.strerror(error.errno)}", str(path)) from None


def _write(descriptor: int, plan: _Layout) -> dict[str, list[str]]:
    """All pieces, several at once. Their digests."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # what is written to the cache now has been written

    def write(rows: torch.Tensor, at: int) -> str:
        data = rows.to("cpu", copy=True, memory_format=torch.contiguous_format)
        data = data.view(-1).view(torch.uint8).numpy()
        _write_all(descriptor, data, at)
        return hashlib.sha256(data).hexdigest()

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        jobs = {name: [pool.submit(write, rows, plan.header_bytes + plan.starts[name] +
                                   first * tensor.token_bytes) for first, rows in tensor.pieces()]
                for name, tensor in plan.tensors()}
        try:
            return {name: [one.result() for one in ours] for name, ours in jobs.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_all(descriptor: int, data, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, at)
        view, at = view[done:], at + done


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
