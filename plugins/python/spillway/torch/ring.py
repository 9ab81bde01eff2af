"""A ring in the device's memory, filled ahead of use with weights whose home is the host.

One stretch of bytes, in which each weight takes a slot of its own size where the one before ended:
small weights leave room for more of them ahead, which is what fills the time between two tokens.
What comes next is what came before after the same weights (history.py), so that copies run ahead
across the end of a token, and from a forward pass into the backward pass. What is used again soon
stays: a checkpoint that is computed again and then differentiated costs one copy of its weights. A
weight that nobody foresaw is copied when it is asked for: slower, and as right. Thread-safe; a slot
belongs to who fetched it until it is released.
"""
from __future__ import annotations

import bisect
import threading
import weakref

import torch

from spillway.torch import compat
from spillway.torch.history import Ahead, History
from spillway.torch.measures import CopyTimes, Passes
from spillway.torch.slots import Counts, Here, Lease, Slot, Views
from spillway.torch.weight import Weight, nothing

MOST_AHEAD = 32  # weights; finding them costs time at each use
MOST_USES_AHEAD = 3 * MOST_AHEAD  # a backward pass uses them up to three times
KEEPING_UP = 0.95  # of a pass: where the link is what takes longest it copies for more of it


class Ring:
    """Has room for `slots` weights of `slot_bytes`, and takes no larger ones."""

    def __init__(self, device, slots: int, slot_bytes: int):
        self.slots = slots
        self.slot_bytes = -(-slot_bytes // device.alignment) * device.alignment
        self.size_bytes = slots * device.slot_bytes(self.slot_bytes)
        self._device = device
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)  # told when a slot gets free
        self._waiting = 0  # threads, for that
        with torch.inference_mode(False):  # else it could be written in inference mode only
            self._memory = device.ring_memory(self.size_bytes)
        self._views = Views(self._memory)
        self._slots = []  # in the order of their bytes, none over another
        self._spare = []  # slots that are nowhere
        self._places = {}  # by the id of a weight: its slot
        self._next = 0  # byte at which the next slot begins
        self._made, self._written = device.new_mark(), device.new_mark()
        device.mark(self._made)  # torch may have taken the memory from work under way
        self._here = Here()
        self._recent = History()  # the one that was added to last
        self.counts = Counts()
        self.times = CopyTimes(device)
        self.passes = Passes()
        self._kept_up = 0, False  # after so many passes

    def fetch(self, weight: Weight, part: bool = False, packed: bool = True, tell=None) -> Lease:
        """The weight in the device's memory, for the current stream; release() it there. `part`:
        only the GPU's rows of it, and then of what comes next as well. `packed`: so, too, it comes
        by way of packed copies where there are any. `tell(True)` and `tell(False)` are called
        around the wait of the current stream for a copy that has not come yet.

        Where other threads have all slots it waits for one. They hold theirs only while they tell
        the device what to compute; who holds one already never waits, and reads the weight at home.
        OSError where the home is a file that cannot be read; the next fetch tries again.
        """
        here, counts = self._here, self.counts
        with self._lock:
            history = self._history()
            history.add(weight)
            if not compat.in_backward():
                self.passes.note(weight, counts.bytes, counts.plain_bytes)
            slot = self._find(weight, part)
            if slot is not None:
                counts.hits += 1
            else:
                counts.misses += 1
                history.ahead.clear()
                slot = self._load(weight, part, packed, asked=True)
                while slot is None and here.held == 0:
                    self._wait_for_slot()
                    slot = self._find(weight, part) or self._load(weight, part, packed, asked=True)
                if slot is None:
                    counts.in_place += 1
                    return Lease(weight, None, weight.rows(part))
            slot.users += 1
            here.held += 1
            if slot.sample is not None:
                self.times.use(slot.sample)
        try:
            self._wait(slot, tell)  # without the lock: a disk takes its time
        except OSError:
            self._give_up(slot)
            raise
        rows = weight.count(part)
        tensor = slot.tensor if slot.rows == rows else slot.tensor[:rows]
        return Lease(weight, slot, tensor, part, packed)

    def _wait_for_slot(self) -> None:
        self._waiting += 1
        self._changed.wait()
        self._waiting -= 1

    def _wait(self, slot: Slot, tell) -> None:
        if tell is None:
            self._device.wait(slot.ready)
        elif not self._device.passed(slot.ready):
            tell(True)
            self._device.wait(slot.ready)
            tell(False)

    def release(self, lease: Lease) -> None:
        """The current stream has been given all that reads it. Starts what comes next."""
        slot = lease.slot
        if slot is None:
            return
        with self._lock:
            slot.users -= 1
            self._here.held -= 1
            slot.mark_free(self._device)
            self._look_ahead(lease.part, lease.packed)
            if self._waiting:
                self._changed.notify()

    def keeps_up(self) -> bool:
        """Passes like the last ones take longer than copies of all weights as they are would."""
        with self._lock:
            known, keeps_up = self._kept_up
            if known != self.passes.count:
                seconds, rate = self.passes.seconds(), self.times.bytes_per_second()
                keeps_up = rate is not None and self.passes.plain_bytes() / rate \
                    < KEEPING_UP * seconds
                self._kept_up = self.passes.count, keeps_up
            return keeps_up

    def _give_up(self, slot: Slot) -> None:
        """What was to come did not."""
        with self._lock:
            slot.holds = nothing
            slot.users -= 1
            self._here.held -= 1
            self._changed.notify()

    def _history(self) -> History:
        """Of this thread. Threads of autograd's go on with the one that a forward pass has left."""
        if not compat.in_backward():
            self._recent = self._here.history
        return self._recent

    def _look_ahead(self, part: bool, packed: bool) -> None:
        """Starts copies of what comes next, as far as there is room for it."""
        history = self._history()
        ahead = history.ahead
        if ahead.part != part or ahead.loaded and not self._has(ahead.uses[0], part):
            ahead.clear(part)
        self._extend(ahead, history)
        uses = ahead.uses
        while ahead.loaded < len(uses):
            use = uses[ahead.loaded]
            if not self._has(use, part) and not self._load(use(), part, packed, ahead.wanted):
                break
            ahead.loaded += 1

    def _extend(self, ahead: Ahead, history: History) -> None:
        """By what the ring has room for at most."""
        while len(ahead.uses) < MOST_USES_AHEAD:
            use = history.coming(len(ahead.uses))
            if use is None:
                break
            size_bytes, weight = 0, use()
            if weight is not None and use not in ahead.wanted:
                size_bytes = self._device.slot_bytes(weight.count(ahead.part) * weight.row_bytes)
                if ahead.size_bytes + size_bytes > self.size_bytes \
                        or weight.size_bytes > self.slot_bytes or len(ahead.wanted) == MOST_AHEAD:
                    break
            ahead.append(use, size_bytes)

    def _has(self, use: weakref.ref, part: bool) -> bool:
        """It need not be loaded."""
        weight = use()
        return weight is None or not weight.count(part) or self._find(weight, part) is not None

    def _find(self, weight: Weight, part: bool) -> Slot | None:
        slot = self._places.get(id(weight))
        found = slot and slot.holds() is weight and slot.version == weight.version
        return slot if found and slot.rows >= weight.count(part) else None

    def _load(self, weight: Weight, part: bool, packed: bool, keep=(),
              asked=False) -> Slot | None:
        """Over the oldest slots; None where they are in use or to be kept (weak references)."""
        after = [] if self._made is None else [self._made]
        rows = weight.rows(part)
        size_bytes = weight.count(part) * weight.row_bytes
        slot = self._take(self._device.slot_bytes(size_bytes), keep, after)
        if slot is None:
            return None
        self._made = None  # copies run one after the other
        version = weight.version
        if weight.copied_version != version:  # the current stream may still write it
            self._device.mark(self._written)
            after.append(self._written)
        copy = weight.packed if packed else None
        if copy is not None and copy.version != version:
            copy = None
        link_bytes = size_bytes if copy is None else copy.prefix_bytes(rows.numel())
        slot.sample = self.times.begin(link_bytes)
        if asked:
            self.times.ask(slot.sample)
        slot.tensor = self._views.at(slot.begin + self._device.slot_lead(rows), rows)
        if copy is None:
            self._device.copy(slot.tensor, rows, after, slot.ready, slot.sample)
        else:
            self._device.unpack(slot.tensor, copy, after, slot.ready, slot.sample)
        weight.copied_version = slot.version = version
        slot.holds, slot.key = weakref.ref(weight), id(weight)
        self._places[slot.key] = slot
        slot.rows = weight.count(part)
        self.counts.bytes += link_bytes
        self.counts.plain_bytes += size_bytes
        return slot

    def _take(self, size_bytes: int, keep, after: list) -> Slot | None:
        """A slot of that size, in the place of those that are there. `after` gets the marks of
        their last uses. (A slot that is taken in part only leaves bytes without marks: what comes
        there comes after all the same, as copies run one after the other, or are dropped.)"""
        begin, once_around = self._next, False
        while True:
            if begin + size_bytes > self.size_bytes:
                if once_around:
                    return None
                begin, once_around = 0, True
            end = begin + size_bytes
            there = [slot for slot in self._slots if slot.begin < end and slot.end > begin]
            held = [slot for slot in there if slot.users or slot.holds in keep]
            if not held:
                break
            begin = held[-1].end
        for slot in there:
            self._device.drop(slot.ready)
            after.extend(slot.free.values())
            self._slots.remove(slot)
            if self._places.get(slot.key) is slot:
                del self._places[slot.key]
        self._spare += there
        taken = self._spare.pop() if self._spare else Slot(self._device)
        taken.hold(begin, end)
        bisect.insort(self._slots, taken, key=lambda slot: slot.begin)
        self._next = end
        return taken
