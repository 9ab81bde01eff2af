"""What torch launches as many small kernels, in fewer, with the same bits as a result: the joined
operations of include/spillway/fused.h through ctypes. Any thread; asynchronous, in a stream."""
from __future__ import annotations

import ctypes

from spillway.library import Pool

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_uint64

# What is to be done. Each begins with its own size in bytes, as below; one is made for every
# launch, by position, which is quickest.

class Squares(ctypes.Structure):
    """to[i] = x[i] * x[i], as floats."""
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("to", _POINTER), ("count", _COUNT),
                ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class Norm(ctypes.Structure):
    """y[r, c] = weight[c] * (x[r, c] / sqrt(means[r] + epsilon)), the quotient rounded."""
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("means", _POINTER),
                ("weight", _POINTER), ("y", _POINTER), ("rows", _COUNT), ("columns", _COUNT),
                ("epsilon", ctypes.c_float), ("dtype", ctypes.c_int32)]


class Silu(ctypes.Structure):
    """y[i] = silu(x[i]) * factor[i], silu(x[i]) rounded."""
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("factor", _POINTER), ("y", _POINTER),
                ("count", _COUNT), ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class TwoCopies(ctypes.Structure):
    """Two copies of so many bytes, a multiple of 4."""
    _fields_ = [("size", ctypes.c_size_t), ("from_one", _POINTER), ("from_other", _POINTER),
                ("to_one", _POINTER), ("to_other", _POINTER), ("bytes", _COUNT)]


class Rotation(ctypes.Structure):
    """Of one token a sequence. `angles`: sequences that have angles of their own, or 1."""
    _fields_ = [("size", ctypes.c_size_t), ("q", _POINTER), ("k", _POINTER), ("cos", _POINTER),
                ("sin", _POINTER), ("q_to", _POINTER), ("k_to", _POINTER), ("batch", _COUNT),
                ("q_heads", _COUNT), ("k_heads", _COUNT), ("dim", _COUNT), ("angles", _COUNT),
                ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


SQUARES, NORM, SILU, TWO_COPIES, ROTATION = map(
    ctypes.sizeof, (Squares, Norm, Silu, TwoCopies, Rotation))

HALVING, DOUBLING = 0, 1  # orders of norm_row()
LEAST_COLUMNS, MOST_COLUMNS = 256, 65536  # that it is for, multiples of 4


class Kernels:
    """Of the pool's GPU. What they are given has addresses of its memory, counts, a dtype of
    row_worker.py; library.Error where this library has no kernels."""

    def __init__(self, pool: Pool):
        self._pool, self._handle = pool, pool._handle  # which outlives it
        self._check = pool.library.check
        self._square, self._norm_rows, self._silu_times, self._copy_two, self._rotate = (
            pool.library.function(name, *[_POINTER] * 3)
            for name in ("square", "norm_rows", "silu_times", "copy_two", "rotate"))
        self._norm_row = pool.library.function("norm_row", _POINTER, _POINTER, ctypes.c_int32,
                                               _POINTER)

    def square(self, what: Squares, stream: int | None) -> None:
        self._check(self._square(self._handle, ctypes.addressof(what), stream))

    def norm_rows(self, what: Norm, stream: int | None) -> None:
        self._check(self._norm_rows(self._handle, ctypes.addressof(what), stream))

    def norm_row(self, what: Norm, order: int, stream: int | None) -> None:
        """With the mean of the squares, of one row: they are added up in that order."""
        self._check(self._norm_row(self._handle, ctypes.addressof(what), order, stream))

    def silu_times(self, what: Silu, stream: int | None) -> None:
        self._check(self._silu_times(self._handle, ctypes.addressof(what), stream))

    def copy_two(self, what: TwoCopies, stream: int | None) -> None:
        self._check(self._copy_two(self._handle, ctypes.addressof(what), stream))

    def rotate(self, what: Rotation, stream: int | None) -> None:
        self._check(self._rotate(self._handle, ctypes.addressof(what), stream))
