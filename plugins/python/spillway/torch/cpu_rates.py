"""How fast the CPU and the link are side by side, and which share of the rows the CPU gets from
that: docs/decisions/cpu-rows.md. One thread."""
from __future__ import annotations

import ctypes
import itertools
import statistics
import time
from dataclasses import dataclass

import torch

from spillway import library
from spillway.row_worker import BF16, AttentionJob, Job, RowWorker
from spillway.torch.device import Keeper

COLUMNS = 4096
CHUNK_BYTES = 128 << 20  # that is copied or multiplied in one go
# Together several times what a processor's caches hold, as a token's weights are. With a third
# level of 300 MiB the CPU multiplied 384 MiB again and again at 125 to 161 GB/s, 1 GiB at 106 to
# 117, and weights within a token at 105 to 115.
CHUNKS = 8
LEAST_CHUNKS = 3  # where the host budget has no room for them
LINK_SECONDS = 0.2  # that the link is busy in a measurement
# Of a product: x to the host, y from it, and what the GPU does around it beside reading its
# weights. On an H100 with a Llama of transformers, 69 products a token, of which the CPU has 35 to
# 40, it waits 13 to 18 ms a token for x.
HANDOVER_SECONDS = 150e-6
JOB_BYTES = 32 << 20  # of a product of the CPU's: starting its threads counts
LEAST_JOBS = 5  # of which a rate is the median
MOST_SHARE = 0.95
LEAST_GAIN = 1.05  # in bytes a second, or the CPU stays out of it


@dataclass
class Rates:
    """In bytes a second, of weights."""
    link_alone: float
    link: float  # while the CPU computes
    cpu: dict[int, float]  # by the number of tokens at once, while the link is busy
    hbm: float

    def most_tokens(self, share: float, link_part: float = 1.0) -> int:
        """For so many at once the CPU's share takes no longer than the link for the whole weight,
        of whose bytes it brings a part."""
        fits = [tokens for tokens, rate in self.cpu.items()
                if share > 0 and share / rate <= link_part / self.link_alone]
        return max(fits, default=0)


@dataclass
class Amounts:
    """What a token reads, in bytes of weights: in HBM; in the host; of that, over the link if the
    CPU has no rows, which is less where weights are packed; and in how many weights of the host,
    of how many bytes, the CPU is to have rows."""
    resident: int
    streamed: int
    link: int
    shared: int
    products: int

    def link_part(self) -> float:
        return self.link / max(1, self.streamed)


def share_of(rates: Rates, amounts: Amounts) -> float:
    """Of the rows of those weights, so that the CPU and the link are done with a token together.
    The link runs ahead and is busy all the time; the CPU cannot compute while the GPU does what
    comes between. Below 1."""
    cpu = rates.cpu[1]
    if rates.link + cpu < LEAST_GAIN * rates.link_alone or not amounts.shared:
        return 0.0
    between = amounts.resident / rates.hbm + HANDOVER_SECONDS * amounts.products
    seconds = amounts.shared * (amounts.link_part() / rates.link + 1 / cpu)
    return min(MOST_SHARE, max(0.0, amounts.link / rates.link - between) / seconds)


class _Work:
    """Each call is a job of the CPU's, on the next chunk. `rate`: bytes a second of the calls since
    it was last asked for, LEAST_JOBS at least. Their median: where other threads are at work for a
    moment, one of ours waits for a core, and a job of 0.3 ms takes 4."""

    def __init__(self, worker: RowWorker, chunks, x_floats: int, y_floats: int):
        self.tokens = 1
        self._worker = worker
        self._chunks = itertools.cycle(reversed(chunks))  # copies go the other way
        self._channel = worker.channel(x_floats, y_floats)
        ctypes.memset(self._channel.x, 0, 4 * x_floats)
        self._rates = []
        self()
        self._rates.clear()

    def __call__(self) -> None:
        job, before = self._job(next(self._chunks)), self._worker.statistics()
        self._channel.compute(job)
        self._rates.append(self._rate_between(before, self._worker.statistics()))

    @property
    def rate(self) -> float:
        while len(self._rates) < LEAST_JOBS:
            self()
        rates, self._rates = self._rates, []
        return statistics.median(rates)

    def close(self) -> None:
        self._channel.close()


class Multiply(_Work):
    """Products."""

    most_tokens = 8

    def __init__(self, worker: RowWorker, chunks):
        super().__init__(worker, chunks, 8 * COLUMNS, 8 * len(chunks[0]))

    def _job(self, chunk) -> Job:
        return Job(chunk.data_ptr(), tuple(chunk.shape), BF16, self.tokens)

    @staticmethod
    def _rate_between(before, after) -> float:
        return (after.bytes - before.bytes) / (after.busy_seconds - before.busy_seconds)


class Attend(_Work):
    """Attention: half of a chunk are keys."""

    most_tokens = 1
    heads = 32, 8, 128  # of q, of keys and values, and their dimensions

    def __init__(self, worker: RowWorker, chunks):
        q, _, dim = self.heads
        super().__init__(worker, chunks, q * dim, q * (dim + 1))

    def _job(self, chunk) -> AttentionJob:
        keys, values = chunk.chunk(2)
        tokens = keys.numel() // (self.heads[1] * self.heads[2])
        return AttentionJob([(keys.data_ptr(), values.data_ptr(), tokens)], self.heads, BF16, 1.0)

    @staticmethod
    def _rate_between(before, after) -> float:
        return (after.attention_bytes - before.attention_bytes) / (
            after.attention_seconds - before.attention_seconds)


def measure(device, pool: library.Pool, worker: RowWorker, work=Multiply) -> Rates:
    """Takes a second, and meanwhile 1 GiB in the host, or what the budget has room for, and 128 MiB
    in HBM. `work`: what the CPU does, Multiply or Attend."""
    keeper = Keeper(_region(pool), device.synchronize)
    rows, count = CHUNK_BYTES // 2 // COLUMNS, keeper.region.size_bytes // CHUNK_BYTES
    with torch.inference_mode(False):
        home = device.tensor(keeper, (count * rows, COLUMNS), torch.bfloat16)
        target = torch.empty((rows, COLUMNS), dtype=torch.bfloat16, device=device.device)
    home.zero_()
    device.synchronize()
    chunks = home.split(rows)
    job = work(worker, home.split(JOB_BYTES // 2 // COLUMNS))
    try:
        link_alone = _link_rate(device, chunks, target, lambda: None)
        link = _link_rate(device, chunks, target, job)
        cpu = {1: job.rate}
        for job.tokens in [count for count in (2, 4, 8) if count <= work.most_tokens]:
            cpu[job.tokens] = job.rate
        half = rows // 2
        hbm = 2 * _hbm_rate(device, target[:half], target[half:])
        return Rates(link_alone, link, cpu, hbm)
    finally:
        device.synchronize()
        job.close()
        del target
        torch.cuda.empty_cache()


def _region(pool: library.Pool) -> library.HostRegion:
    try:
        return pool.host_region(CHUNKS * CHUNK_BYTES, "measuring")
    except library.BudgetError:
        return pool.host_region(LEAST_CHUNKS * CHUNK_BYTES, "measuring")


def _link_rate(device, chunks, target, beside) -> float:
    """beside() is called again and again while copies are under way."""
    _copy_seconds(device, chunks, target, 1)  # the first call of everything
    count = max(1, round(LINK_SECONDS / _copy_seconds(device, chunks, target, 1)))
    return CHUNK_BYTES * count / _copy_seconds(device, chunks, target, count, beside)


def _copy_seconds(device, chunks, target, count: int, beside=lambda: None) -> float:
    device.synchronize()
    done = device.new_mark()
    started = time.perf_counter()
    for chunk in itertools.islice(itertools.cycle(chunks), count):
        device.copy(target, chunk, (), done)
    while not device.passed(done):
        beside()
    return time.perf_counter() - started


def _hbm_rate(device, target, source) -> float:
    """Of one direction."""
    device.synchronize()
    started = time.perf_counter()
    for _ in range(8):
        target.copy_(source)
    device.synchronize()
    return 8 * source.numel() * source.element_size() / (time.perf_counter() - started)
