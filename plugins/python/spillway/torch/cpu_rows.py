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
from spillway.torch.compat import address_of
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
MOST_VIEWS = 256


class _Lane(Lane):
    """With views for products."""

    def __init__(self, worker: RowWorker, device):
        super().__init__(worker, device, X_FLOATS, Y_FLOATS)
        self._views = {}  # making one takes as long as launching a kernel

    def x(self, shape) -> torch.Tensor:
        return self._view(self.x_floats, shape)

    def y(self, shape) -> torch.Tensor:
        return self._view(self.y_floats, shape)

    def _view(self, floats: torch.Tensor, shape) -> torch.Tensor:
        key = floats is self.x_floats, shape
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= MOST_VIEWS:
                self._views.clear()
            with torch.inference_mode(False):
                view = self._views[key] = floats[:math.prod(shape)].view(shape)
        return view


class CpuRows:
    """`share` of what streams, in bytes, above 0 and below 1; None: found out at the first use from
    `rates`, and fixed from then on. `amounts(least_bytes)` are cpu_rates.Amounts, where the CPU has
    rows of weights from that size on."""

    def __init__(self, device, worker: RowWorker, amounts, share: float | None, rates: Rates):
        self.worker = worker
        self.rates = rates
        self.share = share
        self._device = device
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
        home = weight.home
        if torch.is_grad_enabled() or x.dtype != home.dtype or home.dtype not in DTYPES:
            return False
        if torch.is_autocast_enabled(x.device.type) or x.shape[-1:] != home.shape[1:]:
            return False
        if weight.gpu_rows is None:  # whatever the tokens: so it does not depend on the prompt
            self._settle(weight)
        tokens = x.numel() // home.shape[1]
        return 0 < tokens <= self._most_tokens and tokens * home.shape[1] <= X_FLOATS \
            and tokens * home.shape[0] <= Y_FLOATS

    def cut_anew(self, share: float) -> None:
        """Nobody uses the weights now. What the CPU has of them is settled again at the next."""
        with self._lock:
            self.share, self._most_tokens = share, None
            for weight in self._cut:
                weight.gpu_rows = None
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
            ours = None
            lane.x(x.shape).copy_(x)
            self._device.start_rows(lane.channel, self._job(weight, x.numel() // x.shape[-1]))
            try:
                if weight.gpu_rows:
                    ours = self._ours(x, bias, weight, ring, lane)
            finally:
                self._device.join_rows(lane.channel)
            theirs = self._theirs(x, bias, weight, lane)
        return theirs if ours is None else torch.cat((ours, theirs), -1)

    def _ours(self, x, bias, weight: Weight, ring: Ring, lane: _Lane) -> torch.Tensor:
        """By the GPU, once the link has brought its rows."""
        lease = ring.fetch(weight, part=True, tell=partial(self._device.mark_link, lane.channel))
        try:
            return functional.linear(x, lease.tensor, bias if bias is None else
                                     bias[:weight.gpu_rows])
        finally:
            ring.release(lease)

    @staticmethod
    def _theirs(x, bias, weight: Weight, lane: _Lane) -> torch.Tensor:
        """What the CPU has found, rounded once."""
        y = lane.y((*x.shape[:-1], weight.row_count - weight.gpu_rows))
        if bias is None:
            return y.to(x.dtype, copy=True)
        return torch.add(y, bias[weight.gpu_rows:]).to(x.dtype)

    def _job(self, weight: Weight, tokens: int) -> Job:
        key = weight.gpu_rows, tokens
        job = weight.jobs.get(key)
        if job is None:
            home = weight.home
            job = weight.jobs[key] = Job(
                address_of(home) + weight.gpu_rows * weight.row_bytes,
                (weight.row_count - weight.gpu_rows, home.shape[1]), DTYPES[home.dtype], tokens)
        return job

    def close(self) -> None:
        """Nobody asks for anything any more."""
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
