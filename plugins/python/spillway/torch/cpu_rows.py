"""The last rows of weights that stream are multiplied by the CPU, where they lie, while the link
brings the others: docs/decisions/cpu-rows.md. Any thread; a stream's jobs come one by one.

Only without gradients and for a few tokens at once. Results differ from the GPU's by rounding.
"""
from __future__ import annotations

import threading

import torch

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
X_FLOATS = 1 << 18  # of a job: 8 tokens of 32768 columns
Y_FLOATS = 1 << 20
MOST_VIEWS = 256


class _Lane(Lane):
    """With views for products."""

    def __init__(self, worker: RowWorker, device):
        super().__init__(worker, device, X_FLOATS, Y_FLOATS)
        self._views = {}  # making one takes as long as launching a kernel

    def x(self, tokens: int, columns: int) -> torch.Tensor:
        return self._view(self.x_floats, tokens, columns)

    def y(self, tokens: int, rows: int) -> torch.Tensor:
        return self._view(self.y_floats, tokens, rows)

    def _view(self, floats: torch.Tensor, tokens: int, width: int) -> torch.Tensor:
        key = floats is self.x_floats, tokens, width
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= MOST_VIEWS:
                self._views.clear()
            with torch.inference_mode(False):
                view = self._views[key] = floats[:tokens * width].view(tokens, width)
        return view


class CpuRows:
    """`share` of the rows, above 0 and below 1, for `most_tokens` at once; None: found out at the
    first use from `rates`, and fixed from then on. `amounts(least_bytes)` are cpu_rates.Amounts,
    where the CPU has rows of weights from that size on."""

    def __init__(self, device, worker: RowWorker, amounts, share: float | None = None,
                 rates: Rates | None = None):
        self.worker = worker
        self.rates = rates
        self.share = share
        self._device = device
        self._amounts = amounts
        self._lanes = Lanes(device, lambda: _Lane(worker, device))
        self._lock = threading.Lock()
        self._most_tokens = 1 if rates is None else None

    # -- Which work is the CPU's

    def takes_part(self, x: torch.Tensor, weight: Weight) -> bool:
        """It has rows of such products: those from weight.gpu_rows on, which is known afterwards.
        Of a small weight they are none, but what comes beside it is the GPU's part only."""
        home = weight.home
        if torch.is_grad_enabled() or x.dtype != home.dtype or home.dtype not in DTYPES:
            return False
        if torch.is_autocast_enabled(x.device.type) or x.shape[-1:] != home.shape[1:]:
            return False
        tokens = x.numel() // home.shape[1]
        if not 0 < tokens <= self.most_tokens or tokens * home.shape[1] > X_FLOATS \
                or tokens * home.shape[0] > Y_FLOATS:
            return False
        if weight.gpu_rows is None:
            weight.gpu_rows = self._gpu_rows(weight)
        return True

    @property
    def most_tokens(self) -> int:
        if self._most_tokens is None:
            self._settle()
        return self._most_tokens

    def _settle(self) -> None:
        """Once: rows that moved between processors would change results."""
        with self._lock:
            if self._most_tokens is not None:
                return
            amounts = self._amounts(LEAST_BYTES)
            if self.share is None:
                self.share = share_of(self.rates, amounts)
            self._most_tokens = self.rates.most_tokens(self.share, amounts.link_part())

    def _gpu_rows(self, weight: Weight) -> int:
        rows = weight.row_count
        ours = round(rows * (1 - self.share) / ALIGNMENT) * ALIGNMENT
        return ours if weight.size_bytes >= LEAST_BYTES and 0 < ours < rows else rows

    # -- Doing it

    def linear(self, x: torch.Tensor, bias, weight: Weight, ring: Ring) -> torch.Tensor | None:
        """functional.linear(x, weight, bias), nearly; None: this stream cannot be served."""
        lane = self._lanes.here()
        if lane is None:
            return None
        rows, columns = weight.home.shape
        y = x.new_empty((*x.shape[:-1], rows))
        inputs, outputs = x.reshape(-1, columns), y.view(-1, rows)
        tokens = len(inputs)
        with lane.lock:
            lane.x(tokens, columns).copy_(inputs)
            self._device.start_rows(lane.channel, self._job(weight, tokens))
            try:
                self._multiply_ours(inputs, bias, outputs, weight, ring)
            finally:
                self._device.join_rows(lane.channel)
            theirs = outputs[:, weight.gpu_rows:]
            given = lane.y(tokens, rows - weight.gpu_rows)
            if bias is None:
                theirs.copy_(given)
            else:
                torch.add(given, bias[weight.gpu_rows:], out=theirs)  # as float32, rounded once
        return y

    def _multiply_ours(self, inputs, bias, outputs, weight, ring) -> None:
        """After the CPU has been told: from here on the stream waits for the link."""
        lease = ring.fetch(weight, part=True)
        try:
            ours, rows = outputs[:, :weight.gpu_rows], lease.tensor.t()
            if bias is None:
                torch.mm(inputs, rows, out=ours)
            else:
                torch.addmm(bias[:weight.gpu_rows], inputs, rows, out=ours)
        finally:
            ring.release(lease)

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
        return (f"CPU rows: {self.share:.1%} of each weight that streams, for up to "
                f"{self._most_tokens} tokens, by {done.threads} threads: {done.jobs} products; "
                f"busy {done.busy_seconds:.2f} s at {rate:.1f} GB/s, waiting for x "
                f"{done.x_seconds:.2f} s, for the link {done.link_seconds:.2f} s, "
                f"without work {done.idle_seconds:.2f} s")
