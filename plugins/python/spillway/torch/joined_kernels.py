"""The steps of joined.py on a GPU, by the library's kernels. Any thread.

Bits of an exponential and of a square root are those of the CUDA that a kernel was compiled with,
and the library's may be another one than torch's: before a kernel is used, it is tried out against
torch's own, once a device and dtype. None as a result: it is torch's to compute, as it is where a
trial found no memory."""
from __future__ import annotations

import torch

from spillway import library
from spillway.fused import (
    DOUBLING, HALVING, LEAST_COLUMNS, MOST_COLUMNS, NORM, ROTATION, SILU, SQUARES, TWO_COPIES,
    Kernels, Norm, Rotation, Silu, Squares, TwoCopies)
from spillway.row_worker import BF16, F16, F32
from spillway.torch.compat import address_of

DTYPES = {torch.bfloat16: BF16, torch.float16: F16, torch.float32: F32}
BITS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}
SILUS = {dtype: f"SiLU of {dtype}".replace("torch.", "") for dtype in DTYPES}
ROWS_TRIED = 32
STEP_TRIED = 16411  # of 32 bits, for 262 thousand numbers, 1 MiB; of 16 bits all are tried


class CudaKernels:
    """In the current stream of a devices.Cuda."""

    def __init__(self, pool: library.Pool, device):
        self._kernels = Kernels(pool)
        self._device = device
        self._orders = {}  # by columns
        self._agree = {}  # with torch's, by what is tried: words for report()

    def left_to_torch(self) -> list[str]:
        """Of what was tried. For people."""
        return [step for step, agrees in list(self._agree.items()) if not agrees]

    def norm(self, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor | None:
        if not _once(self._agree, "norms", self._try_roots):
            return None
        columns = x.shape[-1]
        if x.numel() == columns and (order := self._order(columns)) is not None:
            return self._norm_row(x, weight, epsilon, order)
        return self._norm_rows(x, weight, epsilon)

    def _norm_row(self, x, weight, epsilon, order):
        y = torch.empty_like(x)
        what = Norm(NORM, address_of(x), None, address_of(weight), address_of(y), 1, x.numel(),
                    epsilon, DTYPES[x.dtype])
        self._kernels.norm_row(what, order, self._device.stream())
        return y

    def _norm_rows(self, x, weight, epsilon):
        """With means that torch finds."""
        squares = torch.empty_like(x, dtype=torch.float32)
        what = Squares(SQUARES, address_of(x), address_of(squares), x.numel(), DTYPES[x.dtype])
        self._kernels.square(what, self._device.stream())
        return self._norm_by_means(x, squares.mean(-1, True), weight, epsilon)

    def _norm_by_means(self, x, means, weight, epsilon):
        columns, y = x.shape[-1], torch.empty_like(x)
        what = Norm(NORM, address_of(x), address_of(means), address_of(weight), address_of(y),
                    x.numel() // columns, columns, epsilon, DTYPES[x.dtype])
        self._kernels.norm_rows(what, self._device.stream())
        return y

    def _try_roots(self) -> bool:
        means = self._numbers(torch.float32).abs()
        ones = torch.ones_like(means)
        found = self._norm_by_means(ones[:, None], means, ones[:1], 0.0)
        return _same_bits(found[:, 0], torch.rsqrt(means))

    def _order(self, columns: int) -> int | None:
        """In which one kernel adds up as torch does; None: in no known one."""
        return _once(self._orders, columns, self._find_order, columns)

    def _find_order(self, columns: int) -> int | None:
        """Which one differs among versions of torch: tried out once for a number of columns."""
        if columns % 4 or not LEAST_COLUMNS <= columns <= MOST_COLUMNS:
            return None
        generator = torch.Generator("cpu").manual_seed(columns)
        rows = torch.randn((ROWS_TRIED, 1, 1, columns), generator=generator, device="cpu",
                           dtype=torch.float32).to(self._device.device)
        weight = torch.ones(columns, device=self._device.device, dtype=torch.float32)
        wanted = [row * torch.rsqrt(row.pow(2).mean(-1, keepdim=True) + 0.0) for row in rows]
        for order in (HALVING, DOUBLING):
            found = [self._norm_row(row, weight, 0.0, order) for row in rows]
            if all(map(torch.equal, found, wanted)):
                return order
        return None

    def silu_times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor | None:
        if not _once(self._agree, SILUS[x.dtype], self._try_silu, x.dtype):
            return None
        return self._silu_times(x, factor)

    def _silu_times(self, x, factor):
        y = torch.empty_like(x)
        what = Silu(SILU, address_of(x), address_of(factor), address_of(y), x.numel(),
                    DTYPES[x.dtype])
        self._kernels.silu_times(what, self._device.stream())
        return y

    def _try_silu(self, dtype: torch.dtype) -> bool:
        x = self._numbers(dtype)
        return _same_bits(self._silu_times(x, torch.ones_like(x)), torch.nn.functional.silu(x))

    def _numbers(self, dtype: torch.dtype) -> torch.Tensor:
        """Finite ones of all sizes and both signs."""
        bits = torch.iinfo(BITS[dtype])
        step = STEP_TRIED if bits.bits == 32 else 1
        numbers = torch.arange(bits.min, bits.max, step, device=self._device.device,
                               dtype=BITS[dtype]).view(dtype)
        return numbers.nan_to_num(1.0, 1.0, 1.0)

    def copy_two(self, one: torch.Tensor, other: torch.Tensor, to: tuple[int, int]) -> bool:
        """False: they lie askew."""
        first, second = address_of(one), address_of(other)
        if (first | second) % 4:
            return False
        what = TwoCopies(TWO_COPIES, first, second, *to, one.nbytes)
        self._kernels.copy_two(what, self._device.stream())
        return True

    def rotate(self, q, k, cos, sin) -> tuple[torch.Tensor, torch.Tensor]:
        found = torch.empty_like(q), torch.empty_like(k)
        batch, heads, _, dim = q.shape
        what = Rotation(ROTATION, *map(address_of, (q, k, cos, sin, *found)), batch, heads,
                        k.shape[1], dim, cos.shape[0], DTYPES[q.dtype])
        self._kernels.rotate(what, self._device.stream())
        return found


def _once(found: dict, key, try_out, *arguments):
    """What try_out(*arguments) finds; None: it had no memory."""
    if key not in found:
        try:
            found[key] = try_out(*arguments)
        except torch.OutOfMemoryError:
            found[key] = None
    return found[key]


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """So that zeros have one sign."""
    bits = BITS[one.dtype]
    return torch.equal(one.view(bits), other.view(bits))
