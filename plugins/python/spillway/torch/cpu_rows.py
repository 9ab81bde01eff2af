"""Some of the weights that stream, or the last rows of each, are multiplied by the CPU, where they
lie, while the link brings the others: docs/decisions/cpu-rows.md. Any thread; a stream's jobs come
one by one.

Only without gradients and for a few tokens at once. Results differ from the GPU's by rounding.
"""
from __future__ import annotations

import math
import threading
import weakref
from functools import partial

import torch
from torch.nn import functional

from spillway.row_worker import BF16, F16, F32, Job, RowWorker
from spillway.torch.cpu_lanes import Lane, Lanes
from spillway.torch.cpu_rates import Rates, share_of
from spillway.torch.ring import Ring
from spillway.torch.weight import Weight

DTYPES = {torch.bfloat16: BF16, torch.float16: F16, torch.float32: F32}
ALIGNMENT = 128  # of the GPU's rows: what its kernels like
# Of a weight: handing a smaller one over takes the CPU longer than half of it takes the link. It
# gets that much more of the larger ones.
LEAST_BYTES = 24 << 20
# Of so many weights the CPU gets some as a whole and the link brings the others: launching both
# parts of each takes Python longer. Of fewer it gets its share of each, or it could not be met.
MANY = 16
X_FLOATS = 1 << 18  # of a job: 8 tokens of 32768 columns
Y_FLOATS = 1 << 20
MOST_PRODUCTS = 64  # of a weight that are kept


class _Lane(Lane):
    """`tell(True)`, `tell(False)`: around waits of its stream for the link (Ring.fetch())."""

    def __init__(self, worker: RowWorker, device):
        super().__init__(worker, device, X_FLOATS, Y_FLOATS)
        self.tell = partial(device.mark_link, self.channel)


class Product:
    """Of a weight and x of one shape, in one lane: its job, and `x` and `y` as views of the lane's
    buffers. Made once, as making a view takes as long as launching a kernel."""

    def __init__(self, lane: _Lane, weight: Weight, shape: torch.Size):
        columns, rows = weight.shape[1], weight.row_count - weight.gpu_rows
        tokens = math.prod(shape) // columns
        self.job = Job(weight.address + weight.gpu_rows * weight.row_bytes, (rows, columns),
                       DTYPES[weight.dtype], tokens)
        with torch.inference_mode(False):
            self.x = lane.x_floats[:tokens * columns].view(shape)
            self.y = lane.y_floats[:tokens * rows].view(*shape[:-1], rows)


class CpuRows:
    """`share` of what streams, in bytes, above 0 and below 1; None: found out at the first use from
    `rates`, and fixed from then on. `amounts(least_bytes)` are cpu_rates.Amounts, where the CPU has
    rows of weights from that size on."""

    def __init__(self, device, worker: RowWorker, amounts, share: float | None, rates: Rates):
        self.worker = worker
        self.rates = rates
        self.share = share
        self._device = device
        self._where = device.device
        self._amounts = amounts
        self._lanes = Lanes(device, lambda: _Lane(worker, device))
        self._lock = threading.Lock()
        self._most_tokens = None
        self._cut = weakref.WeakSet()  # weights of which it is settled what the CPU has
        self._products = 0  # of weights that the CPU may have rows of
        self._due_bytes = 0.0  # of whole weights, until it has its share

    # -- Which work is the CPU's

    def takes_part(self, x: torch.Tensor, weight: Weight) -> bool:
        """It has rows of such products: those from weight.gpu_rows on, which is known afterwards.
        Of some weights they are none, but what comes beside them is the GPU's part only."""
        if torch.is_grad_enabled() or x.dtype is not weight.dtype or x.device != self._where \
                or torch.is_autocast_enabled(self._where.type):
            return False
        rows, columns = weight.shape
        if x.dim() == 0 or x.shape[-1] != columns:
            return False
        if weight.gpu_rows is None:  # whatever the tokens: so it does not depend on the prompt
            if weight.dtype not in DTYPES:
                return False
            self._settle(weight)
        tokens = x.numel() // columns
        return 0 < tokens <= self._most_tokens and tokens * columns <= X_FLOATS \
            and tokens * rows <= Y_FLOATS

    def cut_anew(self, share: float) -> None:
        """Nobody uses the weights now. What the CPU has of them is settled again at the next."""
        with self._lock:
            self.share, self._most_tokens = share, None
            self._forget()

    def _forget(self) -> None:
        """What the CPU has of any weight."""
        for weight in self._cut:
            weight.gpu_rows = None
            weight.products.clear()
        self._cut.clear()

    def _settle(self, weight: Weight) -> None:
        """Once for a weight: rows that moved between processors would change results. The share,
        once for all."""
        with self._lock:
            if weight.gpu_rows is not None:
                return
            if not self._cut:  # a model after another one is cut as it would be alone
                amounts = self._amounts(LEAST_BYTES)
                self._products, self._due_bytes = amounts.products, 0.0
                if self.share is None:
                    self.share = share_of(self.rates, amounts)
                if self._most_tokens is None:
                    self._most_tokens = self.rates.most_tokens(self.share, amounts.link_part())
            self._cut.add(weight)
            weight.gpu_rows = self._gpu_rows(weight)

    def _gpu_rows(self, weight: Weight) -> int:
        rows = weight.row_count
        if weight.size_bytes < LEAST_BYTES:
            return rows
        if self._products >= MANY:
            return 0 if self._is_due(weight) else rows
        ours = round(rows * (1 - self.share) / ALIGNMENT) * ALIGNMENT
        return ours if 0 < ours < rows else rows

    def _is_due(self, weight: Weight) -> bool:
        """The CPU gets all of it: such weights are spread evenly in the order of first use."""
        self._due_bytes += self.share * weight.size_bytes
        due = self._due_bytes >= weight.size_bytes / 2
        if due:
            self._due_bytes -= weight.size_bytes
        return due

    # -- Doing it

    def linear(self, x: torch.Tensor, bias, weight: Weight, ring: Ring) -> torch.Tensor | None:
        """functional.linear(x, weight, bias), nearly; None: this stream cannot be served."""
        lane = self._lanes.here()
        if lane is None:
            return None
        with lane.lock:
            if weight.gpu_rows == weight.row_count:
                return self._ours(x, bias, weight, ring, lane)
            product = self._product(lane, weight, x.shape)
            if weight.gpu_rows == 0 and bias is None:
                return self._device.multiply_rows(lane.channel, product, x)
            ours = None
            product.x.copy_(x)
            self._device.start_rows(lane.channel, product.job)
            try:
                if weight.gpu_rows:
                    ours = self._ours(x, bias, weight, ring, lane)
            finally:
                self._device.join_rows(lane.channel)
            theirs = self._theirs(product.y, x.dtype, bias, weight)
        return theirs if ours is None else torch.cat((ours, theirs), -1)

    def _ours(self, x, bias, weight: Weight, ring: Ring, lane: _Lane) -> torch.Tensor:
        """By the GPU, once the link has brought its rows."""
        lease = ring.fetch(weight, part=True, tell=lane.tell)
        try:
            return functional.linear(x, lease.tensor, bias if bias is None else
                                     bias[:weight.gpu_rows])
        finally:
            ring.release(lease)

    @staticmethod
    def _theirs(y, dtype: torch.dtype, bias, weight: Weight) -> torch.Tensor:
        """What the CPU has found, rounded once."""
        if bias is None:
            return y.to(dtype, copy=True)
        return torch.add(y, bias[weight.gpu_rows:]).to(dtype)

    @staticmethod
    def _product(lane: _Lane, weight: Weight, shape: torch.Size) -> Product:
        products, key = weight.products, (lane, shape)
        product = products.get(key)
        if product is None:
            if len(products) >= MOST_PRODUCTS:
                products.clear()
            product = products[key] = Product(lane, weight, shape)
        return product

    def close(self) -> None:
        """Nobody asks for anything any more."""
        with self._lock:
            self._forget()
        self._lanes.close()
        self.worker.close()

    def report(self) -> str:
        """What the CPU did, for people."""
        done = self.worker.statistics()
        if not done.jobs:
            return "CPU rows: none yet"
        rate = done.bytes / done.busy_seconds / 1e9 if done.busy_seconds else 0
        return (f"CPU rows: {self.share:.1%} of what streams, for up to "
                f"{self._most_tokens} tokens, by {done.threads} threads: {done.jobs} products; "
                f"busy {done.busy_seconds:.2f} s at {rate:.1f} GB/s, waiting for x "
                f"{done.x_seconds:.2f} s, for the link {done.link_seconds:.2f} s, "
                f"without work {done.idle_seconds:.2f} s")
