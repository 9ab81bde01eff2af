"""A ring of slots in the device's memory, filled ahead of use with weights whose home is the host.

Which weight follows which is learned from use, forward and backward apart, so that copies run
ahead across the end of a token. A weight that nobody foresaw is copied when it is asked for:
slower, and as right. Thread-safe; a slot belongs to who fetched it until it is released.
"""
from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import torch

FORWARD, BACKWARD = 0, 1


def _nothing():
    return None


class Weight:
    """A weight whose home is the host: `home` is a tensor of the device over host memory."""

    def __init__(self, home: torch.Tensor):
        self.home = home
        self.size_bytes = home.numel() * home.element_size()
        self.follows = [_nothing, _nothing]  # weak: which one was used next, forward and backward

    @property
    def version(self) -> int:
        """Counts writes. Inference tensors do not count theirs."""
        return 0 if self.home.is_inference() else self.home._version


class _Slot:
    def __init__(self, device, size_bytes: int):
        self.memory = torch.empty(size_bytes, dtype=torch.uint8, device=device.device)
        self.holds = _nothing  # weak: a weight that is gone leaves its slot
        self.version = -1  # of the home when it was copied
        self.users = 0
        self.ready = device.new_mark()
        self.free = device.new_mark()
        device.mark(self.free)

    def view(self, home: torch.Tensor) -> torch.Tensor:
        size = home.numel() * home.element_size()
        return self.memory[:size].view(home.dtype).view(home.shape)


@dataclass
class Counts:
    hits: int = 0  # the copy had been started before it was asked for
    misses: int = 0
    bytes: int = 0  # copied


class Ring:
    """`slots` slots that hold the largest of the weights."""

    def __init__(self, device, slots: int, slot_bytes: int):
        self._device = device
        self._lock = threading.Lock()
        self._slots = [_Slot(device, slot_bytes) for _ in range(slots)]
        self._next = 0
        self._last = [_nothing, _nothing]
        self.counts = Counts()

    def fetch(self, weight: Weight, way: int = FORWARD) -> torch.Tensor:
        """The weight in the device's memory, for the current stream; release() it there."""
        with self._lock:
            if (last := self._last[way]()) is not None:
                last.follows[way] = weakref.ref(weight)
            self._last[way] = weakref.ref(weight)
            slot = self._find(weight)
            if slot is None:
                self.counts.misses += 1
                slot = self._load(weight)
            else:
                self.counts.hits += 1
            slot.users += 1
            self._device.wait(slot.ready)
            return slot.view(weight.home)

    def release(self, weight: Weight, way: int = FORWARD) -> None:
        """The current stream has been given all that reads it. Starts what comes next."""
        with self._lock:
            slot = self._find(weight)
            slot.users -= 1
            self._device.mark(slot.free)
            wanted = [weight]
            while len(wanted) <= len(self._slots):
                following = wanted[-1].follows[way]()
                if following is None or following in wanted:
                    break
                wanted.append(following)
            for one in wanted[1:]:
                if self._find(one) is None and not self._load_ahead(one, wanted[1:]):
                    break

    def forget(self, weight: Weight | None = None) -> None:
        """What was copied of the weight, or of all, is not used again."""
        with self._lock:
            for slot in self._slots:
                if slot.users == 0 and (weight is None or slot.holds() is weight):
                    slot.holds = _nothing

    def _find(self, weight: Weight) -> _Slot | None:
        for slot in self._slots:
            if slot.holds() is weight and (slot.users > 0 or slot.version == weight.version):
                return slot
        return None

    def _load(self, weight: Weight, keep=()) -> _Slot | None:
        """Into the slot whose turn it is; None where all are in use or to be kept."""
        for _ in self._slots:
            slot = self._slots[self._next]
            self._next = (self._next + 1) % len(self._slots)
            if slot.users == 0 and slot.holds() not in keep:
                slot.holds, slot.version = weakref.ref(weight), weight.version
                self._device.copy(slot.view(weight.home), weight.home, slot.free, slot.ready)
                self.counts.bytes += weight.size_bytes
                return slot
        if keep:
            return None
        raise RuntimeError("all slots of the ring are in use: more weights are used at once, by "
                           "several threads, than there are slots")

    def _load_ahead(self, weight: Weight, keep) -> bool:
        return self._load(weight, keep) is not None
