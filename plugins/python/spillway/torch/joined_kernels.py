"""The steps of joined.py on a GPU, by the library's kernels. Any thread."""
from __future__ import annotations

import torch

from spillway import library
from spillway.fused import DOUBLING, HALVING, LEAST_COLUMNS, MOST_COLUMNS, Kernels
from spillway.row_worker import BF16, F16, F32
from spillway.torch.compat import address_of

DTYPES = {torch.bfloat16: BF16, torch.float16: F16, torch.float32: F32}
ROWS_TRIED = 32


class CudaKernels:
    """In the current stream of a devices.Cuda."""

    def __init__(self, pool: library.Pool, device):
        self._kernels = Kernels(pool)
        self._device = device
        self._orders = {}  # by columns

    def norm(self, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        columns = x.shape[-1]
        if x.numel() == columns and (order := self._order(columns)) is not None:
            return self._norm_row(x, weight, epsilon, order)
        return self._norm_rows(x, weight, epsilon)

    def _norm_row(self, x, weight, epsilon, order):
        y = torch.empty_like(x)
        self._kernels.norm_row(address_of(x), address_of(weight), address_of(y), x.numel(), epsilon,
                               DTYPES[x.dtype], order, self._device.stream())
        return y

    def _norm_rows(self, x, weight, epsilon):
        """With means that torch finds."""
        dtype, stream = DTYPES[x.dtype], self._device.stream()
        count, columns = x.numel(), x.shape[-1]
        squares, y = torch.empty_like(x, dtype=torch.float32), torch.empty_like(x)
        self._kernels.square(address_of(x), address_of(squares), count, dtype, stream)
        means = squares.mean(-1, True)
        self._kernels.norm_rows(address_of(x), address_of(means), address_of(weight),
                                address_of(y), (count // columns, columns), epsilon, dtype, stream)
        return y

    def _order(self, columns: int) -> int | None:
        """In which one kernel adds up as torch does; None: in no known one."""
        if columns not in self._orders:
            self._orders[columns] = self._find_order(columns)
        return self._orders[columns]

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

    def silu_times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(x)
        self._kernels.silu_times(address_of(x), address_of(factor), address_of(y), x.numel(),
                                 DTYPES[x.dtype], self._device.stream())
        return y

    def copy_two(self, one: torch.Tensor, other: torch.Tensor, to: tuple[int, int]) -> bool:
        """False: they lie askew."""
        first, second = address_of(one), address_of(other)
        if (first | second) % 4:
            return False
        self._kernels.copy_two(first, second, to, one.nbytes, self._device.stream())
        return True

    def rotate(self, q, k, cos, sin) -> tuple[torch.Tensor, torch.Tensor]:
        found = torch.empty_like(q), torch.empty_like(k)
        addresses = tuple(map(address_of, (q, k, cos, sin, *found)))
        shape = q.shape[0], q.shape[1], k.shape[1], q.shape[3], cos.shape[0]
        self._kernels.rotate(addresses, shape, DTYPES[q.dtype], self._device.stream())
        return found
