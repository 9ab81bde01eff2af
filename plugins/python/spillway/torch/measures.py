"""What the copies of a ring and the passes over its weights took. Guarded by the ring's lock, but
for Passes.note(), which any thread may call."""
from __future__ import annotations

import statistics
import threading
import time
from collections import deque

# One copy in so many is timed: stamps, and reading them, are calls of the driver. A prime, so that
# no layer is always or never it. Once so much is known, only every eighth of these.
SAMPLE_EVERY = 5
KNOWN = 64
STALL_SECONDS = 20e-6  # a shorter wait is what two launches are apart
PASSES_KEPT = 32
_PENDING_MOST = 64


class Sample:
    """A copy that is timed: stamps of its start, of its end, and of the computation's arrival at
    its use."""

    __slots__ = ("asked", "end", "is_used", "size_bytes", "start")

    def __init__(self, device, size_bytes: int):
        self.size_bytes = size_bytes
        self.start, self.end = device.new_stamp(), device.new_stamp()
        self.asked = None
        self.is_used = False


class CopyTimes:
    """`seconds` and `bytes` of the copies that were timed; of `used` of them the wait is known."""

    def __init__(self, device, every: int = SAMPLE_EVERY):
        self.bytes = self.used = self.stalls = 0
        self.seconds = self.stall_seconds = 0.0
        self._device = device
        self._every = every
        self._count = 0
        self._pending: deque[Sample] = deque(maxlen=_PENDING_MOST)

    def begin(self, size_bytes: int) -> Sample | None:
        """A copy is about to start; None where it is not to be timed."""
        self._count += 1
        if self._count % (self._every if self.used < KNOWN else 8 * self._every):
            return None
        self.collect()
        return Sample(self._device, size_bytes)

    def ask(self, sample: Sample | None) -> None:
        """The current stream has come to the use of what the copy brings, or is about to."""
        if sample is not None and sample.asked is None:
            sample.asked = self._device.new_stamp()
            self._device.stamp(sample.asked)

    def use(self, sample: Sample | None) -> None:
        """The copy has been started, and the current stream has come to its use."""
        if sample is not None and not sample.is_used:
            self.ask(sample)
            sample.is_used = True
            self._pending.append(sample)

    def collect(self) -> None:
        """Adds what the device has passed by now."""
        while self._pending:
            sample = self._pending[0]
            took = self._device.seconds_between(sample.start, sample.end)
            waited = self._device.seconds_between(sample.asked, sample.end)
            if took is None or waited is None:
                return
            self._pending.popleft()
            self.bytes += sample.size_bytes
            self.seconds += took
            self.used += 1
            if waited > STALL_SECONDS:
                self.stalls += 1
                self.stall_seconds += waited

    def bytes_per_second(self) -> float | None:
        """Of the link, while it copies; None where no copy has been timed."""
        return self.bytes / self.seconds if self.seconds > 0 else None


class Passes:
    """A pass ends where a weight is used that it has used already: a token of decoding, a prompt, a
    step of training. `seconds` are those of the clock, the last ones' median."""

    def __init__(self, clock=time.perf_counter):
        self.count = 0
        self._clock = clock
        self._here = threading.local()
        self._taken: deque[tuple[float, int, int]] = deque(maxlen=PASSES_KEPT)

    def note(self, weight, copied_bytes: int, plain_bytes: int) -> None:
        """A use. `copied_bytes`: by the ring, since it was made; they would have been
        `plain_bytes` without packing."""
        here = self._here
        key = id(weight)
        if not hasattr(here, "used"):
            here.used, here.started = set(), (self._clock(), copied_bytes, plain_bytes)
        elif key in here.used:
            now = self._clock(), copied_bytes, plain_bytes
            self._taken.append(tuple(end - start for end, start in zip(now, here.started)))
            self.count += 1
            here.used.clear()
            here.started = now
        here.used.add(key)

    def seconds(self) -> float | None:
        """None before the first pass has ended."""
        return self._median(0)

    def streamed_bytes(self) -> int | None:
        """That the ring copied in a pass."""
        median = self._median(1)
        return None if median is None else int(median)

    def plain_bytes(self) -> int | None:
        """That it would have copied without packing."""
        median = self._median(2)
        return None if median is None else int(median)

    def _median(self, which: int) -> float | None:
        taken = list(self._taken)
        return statistics.median(one[which] for one in taken) if taken else None
