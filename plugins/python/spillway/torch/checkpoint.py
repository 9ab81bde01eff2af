"""safetensors files as transformers reads them, but past the page cache and straight to where a
tensor goes. Thread-safe.

The package's own reader maps the file: what is read stays in the page cache, which memory groups
count, and a copy to the device goes through pages that were just faulted in.
"""
from __future__ import annotations

import json
import math
import os

import torch

from spillway.torch.direct_file import PAGE, DirectFile, Reader, Ticket

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
           "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16,
           "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}
_HEADER_LIMIT = 100 << 20  # the format's own


class FileTensor:
    """A tensor that lies in a file; `[...]` reads it. Stands where safetensors has its slices."""

    def __init__(self, file: DirectFile, entry: dict, data_start: int, original, reader: Reader):
        begin, end = entry["data_offsets"]
        self.file, self.offset, self.size_bytes = file, data_start + begin, end - begin
        self.shape, self.dtype = torch.Size(entry["shape"]), _DTYPES[entry["dtype"]]
        self._original, self._reader = original, reader

    def numel(self) -> int:
        return math.prod(self.shape)

    def element_size(self) -> int:
        return self.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def get_shape(self) -> list[int]:
        return list(self.shape)

    def get_dtype(self) -> str:
        return self._original.get_dtype()

    def __getitem__(self, index):
        return self.read() if index is Ellipsis else self._original[index]

    def read(self) -> torch.Tensor:
        """In fresh memory of the host."""
        memory = torch.empty(self.size_bytes + 3 * PAGE, dtype=torch.uint8)
        start = -memory.data_ptr() % PAGE + self.offset % PAGE  # whole pages are read around it
        flat = memory[start:start + self.size_bytes]
        if self.size_bytes:
            self._reader.wait(self.start(0, self.size_bytes, flat))
        return flat.view(self.dtype).view(self.shape)

    def start(self, begin: int, size_bytes: int, target: torch.Tensor) -> Ticket:
        """Bytes [begin, begin + size_bytes) of the tensor are on their way to host memory."""
        ticket = Ticket()
        self._reader.start(self.file, self.offset + begin, size_bytes,
                           (target.data_ptr(), target), ticket)
        return ticket

    def wait(self, ticket: Ticket) -> None:
        self._reader.wait(ticket)


class Checkpoint:
    """What safe_open() gives, whose slices are FileTensors where the file is plain."""

    def __init__(self, original, path: str | os.PathLike, device):
        self._original, self._reader = original, device.reader
        self._file = DirectFile(path, device.uses_page_cache)
        self._entries, self._data_start = _header(path)
        if not device.uses_page_cache:
            self._file.forget()  # mapping it made the system read ahead

    def get_slice(self, name: str):
        entry = self._entries.get(name)
        found = self._original.get_slice(name)
        # Elements that are not aligned in the file would not be in memory either.
        if entry is None or entry["dtype"] not in _DTYPES or \
                (self._data_start + entry["data_offsets"][0]) % _DTYPES[entry["dtype"]].itemsize:
            return found
        return FileTensor(self._file, entry, self._data_start, found, self._reader)

    def __enter__(self):
        self._original.__enter__()
        return self

    def __exit__(self, *error):
        return self._original.__exit__(*error)

    def __getattr__(self, name):
        return getattr(self._original, name)


def _header(path) -> tuple[dict, int]:
    """Tensors by name, and where their bytes begin. safe_open() has checked the file."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= _HEADER_LIMIT:
            return {}, 8
        entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return entries, 8 + length


def opens(device):
    """A patch for a module that calls safe_open()."""
    def patch(original):
        def safe_open(filename, *args, **kwargs):
            opened = original(filename, *args, **kwargs)
            try:
                return Checkpoint(opened, filename, device)
            except (OSError, ValueError):
                return opened  # it is good enough for safetensors: so be it
        return safe_open
    return patch
