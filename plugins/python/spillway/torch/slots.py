"""What a ring (ring.py) has for its bytes, for who uses them, and for each thread. Guarded by the
ring's lock."""
from __future__ import annotations

import threading
from dataclasses import dataclass

import torch

from spillway.torch.history import History
from spillway.torch.weight import Weight, nothing

MOST_VIEWS = 1024  # of a ring's memory that are kept


class Slot:
    """Bytes `begin` to `end` of the ring, and what was last copied there. Made over for other bytes
    and weights, as marks take time to make."""

    def __init__(self, device):
        self.ready = device.new_mark()
        self.free = {}  # by stream: the end of the last use there
        self._marks = {}  # by stream, for that

    def hold(self, begin: int, end: int) -> None:
        """Nothing yet."""
        self.begin, self.end = begin, end
        self.holds = nothing  # weak: a weight that is gone leaves its slot
        self.tensor = None  # what it holds
        self.key = 0  # the id of that weight
        self.version = -1  # of the weight when it was copied
        self.rows = 0  # of the weight, the first ones
        self.users = 0
        self.sample = None  # of the copy that filled it, where that is timed
        self.free.clear()

    def mark_free(self, device) -> None:
        stream = device.stream()
        mark = self._marks.get(stream)
        if mark is None:
            mark = self._marks[stream] = device.new_mark()
        self.free[stream] = mark
        device.mark(mark)


@dataclass
class Lease:
    """A weight that somebody uses: `tensor` in its slot, or at home where it got none."""
    weight: Weight
    slot: Slot | None
    tensor: torch.Tensor
    part: bool = False
    packed: bool = True


@dataclass
class Counts:
    hits: int = 0  # the copy had been started before it was asked for
    misses: int = 0
    in_place: int = 0  # of the misses: there was no slot
    bytes: int = 0  # copied, or read by what unpacks
    plain_bytes: int = 0  # the same, were nothing packed


class Here(threading.local):
    """Of a thread."""

    def __init__(self):
        self.history = History()
        self.held = 0  # slots


class Views:
    """Tensors over the memory of a ring. Kept: making one takes half as long as launching a kernel,
    and in the same order weights come to the same places."""

    def __init__(self, memory: torch.Tensor):
        self._memory = memory
        self._typed = {}  # by dtype
        self._views = {}  # by where they begin, shape, strides and dtype

    def at(self, begin: int, home: torch.Tensor) -> torch.Tensor:
        """From a byte on, for a copy of this home."""
        key = begin, home.shape, home.stride(), home.dtype
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= MOST_VIEWS:
                self._views.clear()
            view = self._views[key] = self._make(*key)
        return view

    def _make(self, begin: int, shape, stride, dtype) -> torch.Tensor:
        with torch.inference_mode(False):
            typed = self._typed.get(dtype)
            if typed is None:
                typed = self._typed[dtype] = self._memory.view(dtype)
            return typed.as_strided(shape, stride, (
                begin + self._memory.storage_offset()) // dtype.itemsize)
