"""What torch launches as many small kernels, in fewer, with the same bits as a result: the joined
operations of include/spillway/fused.h through ctypes. Any thread; asynchronous, in a stream."""
from __future__ import annotations

import ctypes

from spillway.library import Pool

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_uint64


class _Squares(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("to", _POINTER), ("count", _COUNT),
                ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class _Norm(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("means", _POINTER),
                ("weight", _POINTER), ("y", _POINTER), ("rows", _COUNT), ("columns", _COUNT),
                ("epsilon", ctypes.c_float), ("dtype", ctypes.c_int32)]


class _Silu(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("x", _POINTER), ("factor", _POINTER), ("y", _POINTER),
                ("count", _COUNT), ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class _TwoCopies(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("from_one", _POINTER), ("from_other", _POINTER),
                ("to_one", _POINTER), ("to_other", _POINTER), ("bytes", _COUNT)]


class _Rotation(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("q", _POINTER), ("k", _POINTER), ("cos", _POINTER),
                ("sin", _POINTER), ("q_to", _POINTER), ("k_to", _POINTER), ("batch", _COUNT),
                ("q_heads", _COUNT), ("k_heads", _COUNT), ("dim", _COUNT), ("angles", _COUNT),
                ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]


_SQUARES, _NORM, _SILU, _COPIES, _ROTATION = map(
    ctypes.sizeof, (_Squares, _Norm, _Silu, _TwoCopies, _Rotation))

HALVING, DOUBLING = 0, 1  # orders of norm_row()
LEAST_COLUMNS, MOST_COLUMNS = 256, 65536  # that it is for, multiples of 4


class Kernels:
    """Of the pool's GPU. Arguments are addresses of its memory, counts, a dtype of row_worker.py;
    library.Error where this library has no kernels."""

    def __init__(self, pool: Pool):
        self._pool, self._handle = pool, pool._handle  # which outlives it
        self._check = pool.library.check
        self._square, self._norm_rows, self._silu_times, self._copy_two, self._rotate = (
            pool.library.function(name, *[_POINTER] * 3)
            for name in ("square", "norm_rows", "silu_times", "copy_two", "rotate"))
        self._norm_row = pool.library.function("norm_row", _POINTER, _POINTER, ctypes.c_int32,
                                               _POINTER)

    def square(self, x: int, to: int, count: int, dtype: int, stream: int | None) -> None:
        """to[i] = x[i] * x[i], as floats."""
        what = _Squares(_SQUARES, x, to, count, dtype)
        self._check(self._square(self._handle, ctypes.addressof(what), stream))

    def norm_rows(self, x: int, means: int, weight: int, y: int, shape: tuple[int, int],
                  epsilon: float, dtype: int, stream: int | None) -> None:
        """y[r, c] = weight[c] * (x[r, c] / sqrt(means[r] + epsilon)), the quotient rounded."""
        what = _Norm(_NORM, x, means, weight, y, *shape, epsilon, dtype)
        self._check(self._norm_rows(self._handle, ctypes.addressof(what), stream))

    def norm_row(self, x: int, weight: int, y: int, columns: int, epsilon: float, dtype: int,
                 order: int, stream: int | None) -> None:
        """The same with the mean of the squares, of one row: they are added up in that order."""
        what = _Norm(_NORM, x, None, weight, y, 1, columns, epsilon, dtype)
        self._check(self._norm_row(self._handle, ctypes.addressof(what), order, stream))

    def silu_times(self, x: int, factor: int, y: int, count: int, dtype: int,
                   stream: int | None) -> None:
        """y[i] = silu(x[i]) * factor[i], silu(x[i]) rounded."""
        what = _Silu(_SILU, x, factor, y, count, dtype)
        self._check(self._silu_times(self._handle, ctypes.addressof(what), stream))

    def copy_two(self, one: int, other: int, to: tuple[int, int], size_bytes: int,
                 stream: int | None) -> None:
        """Two copies of so many bytes, a multiple of 4."""
        what = _TwoCopies(_COPIES, one, other, *to, size_bytes)
        self._check(self._copy_two(self._handle, ctypes.addressof(what), stream))

    def rotate(self, addresses: tuple[int, ...], shape: tuple[int, ...], dtype: int,
               stream: int | None) -> None:
        """Of one token a sequence. Addresses: of q and k, of cos and sin, of the results for q and
        k. Shape: sequences, heads of q and of k, their dimensions, sequences that have angles of
        their own (or 1)."""
        what = _Rotation(_ROTATION, *addresses, *shape, dtype)
        self._check(self._rotate(self._handle, ctypes.addressof(what), stream))
