"""bfloat16 weights in fewer bytes, without loss: the packed weights of include/spillway/packed.h
through ctypes. Any thread; an unpacker: one at a time."""
from __future__ import annotations

import ctypes

from spillway.library import Pool


MOST_EVENTS = 16  # that a copy comes after


class _PackOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("weight", ctypes.c_void_p),
                ("elements", ctypes.c_uint64), ("name", ctypes.c_char_p)]


class _PackedStatistics(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("elements", ctypes.c_uint64),
                ("bytes", ctypes.c_uint64), ("block_elements", ctypes.c_uint64),
                ("block_bytes", ctypes.c_uint64)]


class _UnpackerOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("staging", ctypes.c_void_p),
                ("staging_bytes", ctypes.c_uint64), ("blocks", ctypes.c_uint32),
                ("reserved", ctypes.c_uint32)]


class _UnpackOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("elements", ctypes.c_uint64),
                ("target", ctypes.c_void_p), ("after", ctypes.c_void_p),
                ("after_count", ctypes.c_uint64), ("done", ctypes.c_void_p)]


class Packed:
    """A packed copy in host memory: `elements`, and `size_bytes` of the host budget."""

    def __init__(self, pool: Pool, handle: ctypes.c_void_p):
        self._call = pool.library.call
        self.handle = handle
        numbers = _PackedStatistics(ctypes.sizeof(_PackedStatistics))
        self._call("packed_read_statistics", handle, ctypes.byref(numbers))
        self.elements, self.size_bytes = numbers.elements, numbers.bytes
        self._block_elements, self._block_bytes = numbers.block_elements, numbers.block_bytes

    def prefix_bytes(self, elements: int) -> int:
        """That go over the link for the first elements."""
        return -(-elements // self._block_elements) * self._block_bytes

    def read(self, elements: int, address: int) -> None:
        """The first elements into memory of the CPU, by the CPU."""
        self._call("packed_read", self.handle, ctypes.c_uint64(elements), ctypes.c_void_p(address))

    def close(self) -> None:
        """No stream has anything to do with it any more."""
        if self.handle:
            handle, self.handle = self.handle, None
            self._call("packed_destroy", handle)


def pack(pool: Pool, address: int, elements: int, name: str) -> Packed | None:
    """Of a weight in host memory; None where it does not get smaller. Takes this thread, without
    the interpreter's lock, for about a second a gigabyte. BudgetError."""
    options = _PackOptions(ctypes.sizeof(_PackOptions), address, elements, name.encode())
    handle = ctypes.c_void_p()
    pool.library.call("pack", pool._handle, ctypes.byref(options), ctypes.byref(handle))
    return Packed(pool, handle) if handle else None


class Unpacker:
    """Brings packed weights to the GPU. `staging`: address and bytes of a piece of its memory, on
    their way there; None: kernels read them in place. `blocks`: of 512 threads a kernel, 0: as many
    as fill the GPU."""

    def __init__(self, pool: Pool, staging: tuple[int, int] | None = None, blocks: int = 0):
        self._call = pool.library.call
        self._handle = ctypes.c_void_p()
        address, size_bytes = staging or (None, 0)
        options = _UnpackerOptions(ctypes.sizeof(_UnpackerOptions), address, size_bytes, blocks, 0)
        self._call("unpacker_create", pool._handle, ctypes.byref(options),
                   ctypes.byref(self._handle))
        self._check = pool.library.check
        self._start = pool.library.function("unpacker_start_after", *[ctypes.c_void_p] * 4)
        self._events = (ctypes.c_void_p * MOST_EVENTS)()
        self._options = _UnpackOptions(ctypes.sizeof(_UnpackOptions), 0, None,
                                       ctypes.addressof(self._events), 0, None)

    def start(self, packed: Packed, elements: int, address: int, stream: int | None,
              after=(), done: int | None = None) -> None:
        """The weight's first elements are there for what the stream is given afterwards. They are
        written when the events `after` have passed, MOST_EVENTS of them at most; then `done` is
        recorded. (Events as the driver has them.)"""
        options = self._options
        options.elements, options.target, options.done = elements, address, done
        options.after_count = len(after)
        self._events[:len(after)] = after
        self._check(self._start(self._handle, packed.handle, ctypes.addressof(options), stream))

    def close(self) -> None:
        """Waits for its copies and kernels."""
        if self._handle:
            handle, self._handle = self._handle, None
            self._call("unpacker_destroy", handle)
