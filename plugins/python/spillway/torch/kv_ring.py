"""Slots in HBM for layers of KV caches whose home is the host, filled ahead of use. Guarded by the
lock of KvTiers.

A layer's slot holds its keys and values whole, with room for the tokens that come: attention reads
it as it would read a buffer. Which layer follows which is learned from use, also across the end of
a token.
"""
from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

import torch

from spillway.torch.kv_tensor import grown
from spillway.torch.measures import CopyTimes
from spillway.torch.weight import nothing

SLOTS = 2  # attention reads one while the link fills the other


@dataclass
class Counts:
    hits: int = 0  # the copy had been started before it was asked for
    misses: int = 0
    bytes: int = 0  # copied up


class _Slot:
    def __init__(self, device):
        self.memory: tuple[torch.Tensor, torch.Tensor] | None = None  # of bytes
        self.layer = nothing  # weak
        self.epoch = 0  # of the layer
        self.first = 0  # of the layer's tokens that is here
        self.tokens = 0  # of the layer, up to which they are here
        self.user: threading.Thread | None = None
        self.sample = None
        self.ready, self.free = device.new_mark(), device.new_mark()
        self.stored = ()  # marks: what was copied down from here
        self.after = ()  # marks that what is copied up waits for
        self.has_arrived = False  # the stream of the use has come after `ready`
        self.is_free = False  # and nothing reads the slot that it is given from now on
        self.use = nothing  # weak: a kv_partly.Use

    @property
    def size_bytes(self) -> int:
        return sum(part.numel() for part in self.memory) if self.memory else 0

    def is_used(self) -> bool:
        """A thread that ended without another use has done with it."""
        return self.user is not None and self.user.is_alive()

    def rows(self, layer) -> tuple[torch.Tensor, torch.Tensor]:
        """Of keys and of values, [capacity, batch, heads, dim]."""
        return tuple(_rows(memory, part) for memory, part in zip(self.memory, layer.parts()))

    def capacity(self, layer) -> int:
        """In tokens."""
        return 0 if self.memory is None else min(
            memory.numel() // part.token_bytes
            for memory, part in zip(self.memory, layer.parts()))


def _rows(memory: torch.Tensor, part) -> torch.Tensor:
    tokens = memory.numel() // part.token_bytes
    return memory[:tokens * part.token_bytes].view(part.dtype).view(tokens, *part.shape)


class KvRing:
    def __init__(self, tiers):
        self._tiers = tiers
        self._device = tiers.device
        self._slots = [_Slot(tiers.device) for _ in range(SLOTS)]
        self._here = threading.local()  # the slot that this thread uses, and the layer before
        self._made = self._device.new_mark()
        self.counts = Counts()
        self.times = CopyTimes(self._device)

    @property
    def size_bytes(self) -> int:
        return sum(slot.size_bytes for slot in self._slots)

    def growth(self, layer, tokens: int) -> int:
        """What the slots would take more of HBM for such a layer of so many tokens."""
        need = sum(grown(tokens) * part.token_bytes for part in layer.parts())
        return sum(max(0, need - slot.size_bytes) for slot in self._slots
                   if slot.capacity(layer) < tokens)

    def fetch(self, layer, tokens: int) -> _Slot:
        """What the layer has in the host, in a slot with room for `tokens`: the current stream can
        write behind it, and after complete() read it, until release()."""
        self._learn(layer)
        slot = self._find(layer)
        if slot is not None and not slot.is_used() and slot.capacity(layer) >= tokens:
            self.counts.hits += 1
        else:
            self.counts.misses += 1
            slot = self._take(()) or _Slot(self._device)  # other threads have them: one more
            self._load(slot, layer, tokens, asked=True)
        slot.user = threading.current_thread()
        slot.has_arrived = slot.is_free = False
        self._here.slot = slot
        for mark in (slot.free, *slot.after):  # the last use may have been in another stream
            self._device.wait(mark)
        self._load_ahead(layer)
        return slot

    def arrive(self, slot: _Slot) -> None:
        """The current stream comes after what was copied up."""
        if not slot.has_arrived:
            self.times.use(slot.sample)
            slot.sample = None
            self._device.wait(slot.ready)
            slot.has_arrived = True

    def need(self, slot: _Slot, first: int) -> None:
        """The tokens from this one on are to be in the slot after arrive()."""
        if slot.first > first:
            layer = slot.layer()
            for rows, part in zip(slot.rows(layer), layer.parts()):
                part.fetch(rows, range(first, slot.first), slot.after, slot.ready)
                self.counts.bytes += (slot.first - first) * part.token_bytes
            slot.first, slot.has_arrived = first, False

    def complete(self, slot: _Slot) -> None:
        """All tokens are in the slot, for what the current stream is given from now on."""
        self.need(slot, 0)
        self.arrive(slot)
        slot.is_free = False

    def free(self, slot: _Slot) -> None:
        """The current stream has been given all that reads the slot, but what complete() is for."""
        self._device.mark(slot.free)
        slot.is_free = True

    def release(self) -> None:
        """The current stream has been given all that reads what this thread fetched last."""
        slot = getattr(self._here, "slot", None)
        if slot is None:
            return
        shared = any(self._tiers.is_shared(memory) for memory in slot.memory)
        if shared and (use := slot.use()) is not None:
            use.complete()
        self._here.slot = slot.user = None
        if not slot.is_free:
            self._device.mark(slot.free)
        if shared:
            slot.memory, slot.layer = None, nothing  # somebody keeps what attention was given
        if (layer := slot.layer()) is not None:
            self._load_ahead(layer)

    def crop(self, layer) -> None:
        """What follows the layer's tokens in its slots is no longer the layer's."""
        for slot in self._slots:
            if slot.layer() is layer:
                slot.tokens = min(slot.tokens, layer.length)
                slot.first = min(slot.first, layer.length)

    def _learn(self, layer) -> None:
        if (last := getattr(self._here, "last", nothing)()) is not None:
            last.follows = weakref.ref(layer)
        self._here.last = weakref.ref(layer)

    def _load_ahead(self, layer) -> None:
        ahead = []
        for _ in self._slots:
            layer = layer.follows()
            if layer is None or layer in ahead or not layer.in_host:
                break
            ahead.append(layer)
        for layer in ahead:
            if self._find(layer) is None:
                slot = self._take(ahead)
                if slot is None or slot.capacity(layer) <= layer.length \
                        and self._tiers.missing_bytes(self.growth(layer, layer.length + 1)) > 0:
                    return
                self._load(slot, layer, layer.length + 1)

    def _find(self, layer) -> _Slot | None:
        for slot in self._slots:
            if slot.layer() is layer and slot.epoch == layer.epoch and slot.tokens >= layer.length:
                return slot
        return None

    def _take(self, keep) -> _Slot | None:
        """One that nobody uses, and whose layer is not to be kept."""
        free = [slot for slot in self._slots
                if not slot.is_used() and slot.layer() not in keep]
        slot = min(free, key=lambda slot: slot.layer() is not None, default=None)
        if slot is not None and slot.user is not None:  # nobody marked the end of its use
            self._device.synchronize()
            slot.user = None
        return slot

    def _load(self, slot: _Slot, layer, tokens: int, asked=False) -> None:
        after = (slot.free, *slot.stored)
        if slot.capacity(layer) < tokens:
            slot.memory, slot.layer = None, nothing  # first: both would not fit
            slot.memory = tuple(self._allocate(grown(tokens) * part.token_bytes)
                                for part in layer.parts())
            self._device.mark(self._made)  # torch may have taken it from work under way
            after = (self._made,)
        slot.layer, slot.epoch, slot.tokens = weakref.ref(layer), layer.epoch, layer.length
        slot.first, slot.after, slot.stored = self._tiers.cpu_tokens(layer), after, ()
        if slot.tokens > slot.first:
            size = sum((slot.tokens - slot.first) * part.token_bytes for part in layer.parts())
            slot.sample = self.times.begin(size)
            if asked:
                self.times.ask(slot.sample)
            self.counts.bytes += size
            if slot.sample is not None:
                self._device.stamp_in(slot.sample.start, self._tiers.up, after)
            for rows, part in zip(slot.rows(layer), layer.parts()):
                part.fetch(rows, range(slot.first, slot.tokens), after, slot.ready)
            if slot.sample is not None:
                self._device.stamp_in(slot.sample.end, self._tiers.up, ())

    def _allocate(self, size_bytes: int) -> torch.Tensor:
        with torch.inference_mode(False):
            memory = self._device.empty((size_bytes,), torch.uint8)
        self._device.keep(memory)
        for stream in (self._tiers.up, self._tiers.down):
            self._device.used_in(memory, stream)
        return memory
