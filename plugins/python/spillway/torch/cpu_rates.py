"""How fast the CPU and the link are side by side, and which share of the rows the CPU gets from
that: docs/decisions/cpu-rows.md. One thread."""
from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass

import torch

from spillway import library
from spillway.row_worker import BF16, Job, RowWorker
from spillway.torch.devices import Keeper

COLUMNS = 4096
SCRATCH_BYTES = 128 << 20  # more than the caches of a processor keep of a token's weights
LINK_SECONDS = 0.2  # that the link is busy in a measurement
HANDOVER_SECONDS = 30e-6  # of a product: x to the host, y from it, and the wait for each
TYPICAL_BYTES = 80 << 20  # of a weight, to tell how many handovers there are
LEAST_GAIN = 1.05  # in bytes a second, or the CPU stays out of it


@dataclass
class Rates:
    """In bytes a second, of weights."""
    link_alone: float
    link: float  # while the CPU computes
    cpu: dict[int, float]  # by the number of tokens at once, while the link is busy
    hbm: float

    def most_tokens(self, share: float) -> int:
        """For so many at once the CPU's share takes no longer than the link for the whole
        weight."""
        fits = [tokens for tokens, rate in self.cpu.items()
                if share > 0 and share / rate <= 1 / self.link_alone]
        return max(fits, default=0)


def share_of(rates: Rates, streamed_bytes: int, resident_bytes: int) -> float:
    """Of the rows, so that the CPU and the link are done with a token together. The link runs ahead
    and is busy all the time; the CPU cannot compute while the GPU does what comes between."""
    cpu = rates.cpu[1]
    if rates.link + cpu < LEAST_GAIN * rates.link_alone or not streamed_bytes:
        return 0.0
    link_seconds, cpu_seconds = streamed_bytes / rates.link, streamed_bytes / cpu
    between = resident_bytes / rates.hbm + HANDOVER_SECONDS * streamed_bytes / TYPICAL_BYTES
    return max(0.0, link_seconds - between) / (link_seconds + cpu_seconds)


def measure(device, pool: library.Pool, worker: RowWorker) -> Rates:
    """Takes half a second, and 128 MiB in the host and in HBM each for that time."""
    keeper = Keeper(pool.host_region(SCRATCH_BYTES, "measuring"), device.synchronize)
    with torch.inference_mode(False):
        home = device.tensor(keeper, (SCRATCH_BYTES // 2 // COLUMNS, COLUMNS), torch.bfloat16)
        target = torch.empty_like(home, device=device.device)
    home.zero_()
    channel = worker.channel(8 * COLUMNS, 8 * len(home))
    ctypes.memset(channel.x, 0, 4 * 8 * COLUMNS)
    try:
        link_alone = _link_rate(device, home, target, lambda: None)
        cpu = {}
        link = _link_rate(device, home, target, lambda: _compute(worker, channel, home, 1, cpu))
        for tokens in (1, 2, 4, 8):
            if tokens not in cpu:
                _compute(worker, channel, home, tokens, cpu)
        half = len(target) // 2
        return Rates(link_alone, link, cpu, 2 * _hbm_rate(device, target[:half], target[half:]))
    finally:
        device.synchronize()
        channel.close()
        del target
        torch.cuda.empty_cache()


def _link_rate(device, home, target, beside) -> float:
    """beside() is called again and again while copies are under way."""
    _copy_seconds(device, home, target, 2, beside)  # the first calls of everything
    one = _copy_seconds(device, home, target, 1, lambda: None)
    count = max(1, round(LINK_SECONDS / one))
    return SCRATCH_BYTES * count / _copy_seconds(device, home, target, count, beside)


def _copy_seconds(device, home, target, count: int, beside) -> float:
    device.synchronize()
    done = device.new_mark()
    started = time.perf_counter()
    for _ in range(count):
        device.copy(target, home, (), done)
    while not device.passed(done):
        beside()
    return time.perf_counter() - started


def _compute(worker, channel, home, tokens: int, rates: dict) -> None:
    before = worker.statistics()
    channel.compute(Job(home.data_ptr(), (len(home), COLUMNS), BF16, tokens))
    after = worker.statistics()
    rates[tokens] = (after.bytes - before.bytes) / (after.busy_seconds - before.busy_seconds)


def _hbm_rate(device, target, source) -> float:
    """Of one direction."""
    device.synchronize()
    started = time.perf_counter()
    for _ in range(8):
        target.copy_(source)
    device.synchronize()
    return 8 * source.numel() * source.element_size() / (time.perf_counter() - started)
