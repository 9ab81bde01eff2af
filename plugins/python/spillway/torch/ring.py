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

from spillway.torch.weight import Weight, nothing

FORWARD, BACKWARD = 0, 1


class _Slot:
    def __init__(self, device, size_bytes: int):
        with torch.inference_mode(False):  # else it could be written in inference mode only
            self.memory = device.slot_memory(size_bytes)
        self._view = device.slot_view
        self.holds = nothing  # weak: a weight that is gone leaves its slot
        self.version = -1  # of the weight when it was copied
        self.users = 0
        self.ready = device.new_mark()
        self.free = {}  # by stream: the end of the last use there
        self.mark_free(device)

    def mark_free(self, device) -> None:
        stream = device.stream()
        if stream not in self.free:
            self.free[stream] = device.new_mark()
        device.mark(self.free[stream])

    def view(self, home: torch.Tensor) -> torch.Tensor:
        return self._view(self.memory, home)


@dataclass
class Lease:
    """A weight that somebody uses: `tensor` in its slot, or at home where it got none."""
    weight: Weight
    way: int
    slot: _Slot | None
    tensor: torch.Tensor


@dataclass
class Counts:
    hits: int = 0  # the copy had been started before it was asked for
    misses: int = 0
    in_place: int = 0  # of the misses: there was no slot
    bytes: int = 0  # copied


class Ring:
    """`slots` slots that hold the largest of the weights."""

    def __init__(self, device, slots: int, slot_bytes: int):
        self.slot_bytes = slot_bytes
        self.size_bytes = slots * slot_bytes
        self._device = device
        self._changed = threading.Condition()  # and the lock; told when a slot gets free
        self._slots = [_Slot(device, slot_bytes) for _ in range(slots)]
        self._next = 0
        self._written = device.new_mark()
        self._here = threading.local()  # of this thread: what it used last, and slots it holds
        self.counts = Counts()

    def fetch(self, weight: Weight, way: int = FORWARD) -> Lease:
        """The weight in the device's memory, for the current stream; release() it there.

        Where other threads have all slots it waits for one. They hold theirs only while they tell
        the device what to compute; who holds one already never waits, and reads the weight at home.
        """
        with self._changed:
            self._learn(weight, way)
            slot = self._find(weight)
            if slot is not None:
                self.counts.hits += 1
            else:
                self.counts.misses += 1
                slot = self._load(weight)
            held = getattr(self._here, "held", 0)
            while slot is None and held == 0:
                self._changed.wait()
                slot = self._find(weight) or self._load(weight)
            if slot is None:
                self.counts.in_place += 1
                return Lease(weight, way, None, weight.home)
            slot.users += 1
            self._here.held = held + 1
        try:
            self._device.wait(slot.ready)  # without the lock: a disk takes its time
        except OSError:
            self._give_up(slot)
            raise
        return Lease(weight, way, slot, slot.view(weight.home))

    def release(self, lease: Lease) -> None:
        """The current stream has been given all that reads it. Starts what comes next."""
        if lease.slot is None:
            return
        with self._changed:
            lease.slot.users -= 1
            self._here.held -= 1
            lease.slot.mark_free(self._device)
            ahead = self._ahead(lease.weight, lease.way)
            for weight in ahead:
                if self._find(weight) is None and self._load(weight, ahead) is None:
                    break
            self._changed.notify()

    def _give_up(self, slot: _Slot) -> None:
        """What was to come did not."""
        with self._changed:
            slot.holds = nothing
            slot.users -= 1
            self._here.held -= 1
            self._changed.notify()

    def _learn(self, weight: Weight, way: int) -> None:
        if not hasattr(self._here, "last"):
            self._here.last = [nothing, nothing]
        reference = weakref.ref(weight)
        if (last := self._here.last[way]()) is not None:
            last.follows[way] = reference
        self._here.last[way] = reference

    def _ahead(self, weight: Weight, way: int) -> list[Weight]:
        """What comes after it, as many as there are slots at most."""
        chain = [weight]
        while len(chain) <= len(self._slots):
            following = chain[-1].follows[way]()
            if following is None or following in chain or following.size_bytes > self.slot_bytes:
                break
            chain.append(following)
        return chain[1:]

    def _find(self, weight: Weight) -> _Slot | None:
        version = weight.version
        for slot in self._slots:
            if slot.holds() is weight and slot.version == version:
                return slot
        return None

    def _load(self, weight: Weight, keep=()) -> _Slot | None:
        """Into the slot whose turn it is; None where all are in use or to be kept."""
        for _ in self._slots:
            slot = self._slots[self._next]
            self._next = (self._next + 1) % len(self._slots)
            if slot.users == 0 and slot.holds() not in keep:
                slot.holds = nothing  # a copy that fails leaves nothing
                version, after = weight.version, list(slot.free.values())
                if weight.copied_version != version:  # the current stream may still write it
                    self._device.mark(self._written)
                    after.append(self._written)
                self._device.copy(slot.view(weight.home), weight.home, after, slot.ready)
                weight.copied_version = slot.version = version
                slot.holds = weakref.ref(weight)
                self.counts.bytes += weight.size_bytes
                return slot
        return None
