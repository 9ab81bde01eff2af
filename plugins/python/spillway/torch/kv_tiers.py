"""Where the layers of KV caches lie: in HBM while there is room, then, layer by layer, in the host.
One a streamer. Thread-safe.

Room is what the HBM budget leaves beside weights, and a part of `work`; for the slots that the
host's part passes through, weights go home where they have to (yielding.py). The layer that has to
go next is one of the cache that was used least recently, and of its layers the one that leaves
those of the host evenly among the others, so that the link is busy all the time. What is in the
host passes through a ring of slots (kv_ring.py).
"""
from __future__ import annotations

import os
import threading
import weakref

import torch

from spillway.torch import compat
from spillway.torch.kv_partly import InHbm, Use, in_hbm, partly
from spillway.torch.kv_planning import limit_bytes
from spillway.torch.kv_ring import KvRing
from spillway.torch.kv_tensor import by_batch, by_token
from spillway.torch.yielding import yield_weights

YIELD_PART = 4  # weights leave room for one part of so many more: the cache will grow
GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, lie evenly however many there are
STORAGE_USES = 2  # of memory that nobody has a view of: the tensor, and the question


class KvTiers:
    def __init__(self, streamer, joined):
        self.joined = joined  # a Joined
        self.device = streamer.device
        self.pool = streamer.pool
        self.up, self.down = self.device.new_stream(), self.device.new_stream()
        self.cpu_attention = None  # a CpuAttention, where the CPU takes part
        self.in_hbm = InHbm(self.device)
        self.streamer = weakref.ref(streamer)
        self.ring: KvRing | None = None
        self._groups = weakref.WeakSet()
        self._homed = weakref.WeakSet()  # layers
        self._uses = 0
        self.lock = threading.RLock()
        self._process = os.getpid()

    def __deepcopy__(self, memo) -> KvTiers:
        return self

    # -- What is asked

    def takes(self, states: torch.Tensor) -> bool:
        """They may become a part of a cache in tiers."""
        return (not torch.compiler.is_compiling() and not torch.is_grad_enabled()
                and type(states) is torch.Tensor and states.dim() == 4
                and self.is_ours(states.device) and not self.device.capturing()
                and not compat.observed())

    def is_ours(self, device: torch.device) -> bool:
        """Caches there are in tiers."""
        return device.type == self.device.device.type \
            and device.index in (None, self.device.device.index)

    def fits(self, layer, keys: torch.Tensor, values: torch.Tensor) -> bool:
        """They can follow what the layer has."""
        own_keys, own_values = layer.parts()
        return own_keys.fits(keys) and own_values.fits(values)

    def is_shared(self, memory: torch.Tensor, views: int = 0) -> bool:
        """Somebody has a view of it, beside so many."""
        uses = compat.storage_uses(compat.storage_of(memory))
        return uses is not None and uses > STORAGE_USES + views

    def layers(self) -> list:
        """That have been used and are alive."""
        return [layer for group in list(self._groups) for layer in group.layers()]

    def in_use(self) -> list:
        """The layers of the cache that was used last."""
        groups = sorted(self._groups, key=lambda group: group.used)
        return groups[-1].layers() if groups else []

    # -- Use

    def update(self, layer, *states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values of the layer with the new ones, [batch, heads, tokens, dim]. They may
        be read by what the current stream is given until the thread's next update."""
        with self.lock:
            if self.ring is not None:
                self.ring.release()
            group, more = layer.group, states[0].shape[-2]
            self._uses += 1
            group.used = self._uses
            group.by_one = more == 1
            self._groups.add(group)
            tokens = layer.length + more
            if layer.in_host and self._returns(layer):
                self._bring_back(layer)
            if len(self._homed) or not layer.has_room(tokens):
                self._take_in(layer, states, tokens)
            if layer.in_host:
                return self._through_ring(layer, states, tokens)
            return in_hbm(self.joined.append(layer, *states), layer, self)

    def release(self) -> None:
        """This thread has done with what update() gave it; before a layer changes."""
        with self.lock:
            if self.ring is not None:
                self.ring.release()

    def _through_ring(self, layer, states, tokens: int):
        ring, slot = self.ring, self.ring.fetch(layer, tokens)
        before, found, first = layer.length, [], self.cpu_tokens(layer)
        if first == 0:
            ring.complete(slot)
        else:
            ring.need(slot, first)
            for part in layer.parts():
                part.arrives_home()
        for rows, part, new in zip(slot.rows(layer), layer.parts(), states):
            rows[before:tokens].copy_(by_token(new))
            part.store(rows[before:tokens])
            found.append(by_batch(rows[:tokens]))
        slot.tokens = tokens
        slot.stored = tuple(part.stored() for part in layer.parts())
        if first == 0:
            return tuple(found)
        return partly(*found, Use(self, slot, layer, first))

    def cpu_tokens(self, layer) -> int:
        """Of the first ones of a layer in the host, that the CPU attends to."""
        return self.cpu_attention.tokens(layer) if self.cpu_attention is not None else 0

    def _take_in(self, layer, states, tokens: int) -> None:
        """What was set, and what is empty, gets its memory in the layer's tier, for `tokens`."""
        given = [part.given for part in layer.parts()]
        for part, new, old in zip(layer.parts(), states, given):
            if old is not None:
                part.shape_as(old if part.length else new)
        try:
            self._make_room(layer, tokens)
            for part, old in zip(layer.parts(), given):
                if layer.in_host:
                    part.reserve_home(tokens)
                else:
                    part.reserve(tokens)
                if old is None or not old.numel():
                    continue
                if layer.in_host:
                    part.store(by_token(old))
                    self.device.used_in(old, self.down)
                else:
                    part.append(old)
        except torch.OutOfMemoryError:
            for part, old in zip(layer.parts(), given):
                if old is not None:
                    part.give(old)
            raise

    def crop(self, layer, length: int) -> None:
        with self.lock:
            self.release()
            for part in layer.parts():
                part.crop(length)
            if self.ring is not None:
                self.ring.crop(layer)

    def reset(self, layer) -> None:
        """Nothing of it is anywhere any more."""
        with self.lock:
            self._homed.discard(layer)
            self._drop_ring()

    def drop_spares(self) -> bool:
        """Whether host memory of layers that are in HBM again could be given back."""
        return any([part.drop_spare() for layer in self.layers() for part in layer.parts()
                    if part is not None])

    def drop_copies(self) -> bool:
        """The same of packed copies of weights."""
        streamer = self.streamer()
        return streamer is not None and streamer.drop_copies()

    def hold(self, layer, likes, tokens: int) -> None:
        """The layer is in the host, with so many tokens whose bytes are written from outside."""
        with self.lock:
            self._groups.add(layer.group)
            for part, like in zip(layer.parts(), likes):
                part.hold(like, tokens)
            self._home(layer)

    # -- Who lies where

    def settle(self, layer) -> None:
        """What was set goes to the host where the layer is there, or HBM is full."""
        with self.lock, torch.no_grad():
            given = [part.given for part in layer.parts() if part is not None]
            if not given or any(one is None or not one.numel() or not self.takes(one)
                                for one in given):
                return
            if layer.in_host or self.missing_bytes(0) > 0:
                self._send_home(layer)

    def offload(self, layer) -> None:
        """The layer goes home."""
        with self.lock, torch.no_grad():
            if layer.length and not layer.in_host:
                self._send_home(layer)

    def bring_back(self, layer) -> None:
        """The layer comes back to HBM, if there is room for it."""
        with self.lock, torch.no_grad():
            self.release()
            if layer.in_host and self.missing_bytes(layer.growth_bytes(layer.length)) <= 0:
                self._bring_back(layer)

    def _bring_back(self, layer) -> None:
        for part in layer.parts():
            if part.in_host:
                part.bring_back()
        layer.in_host = False
        layer.epoch += 1
        self._homed.discard(layer)
        self._drop_ring()

    def _returns(self, layer) -> bool:
        """It was the last of its cache to go home, and there is room for two of it: so it does not
        go home again at once."""
        last = [one for one in _in_order_of_leaving(layer.group.layers()) if one.in_host][-1]
        return last is layer and self.missing_bytes(2 * layer.growth_bytes(layer.length)) <= 0

    def keep_limit(self) -> None:
        """Streamer.keep_limit()."""
        if (streamer := self.streamer()) is not None:
            streamer.keep_limit()

    def missing_bytes(self, size_bytes: int) -> int:
        """Of HBM, if a KV cache took so many more. At most 0 where it has room."""
        streamer = self.streamer()
        if streamer is None:
            return 0
        return streamer.allocated_bytes() + size_bytes - limit_bytes(streamer)

    def _make_room(self, layer, tokens: int) -> None:
        """In HBM for so many tokens of the layer: others go home until there is, or it itself and
        then others until there is room for the slots that it passes through, or else weights."""
        while True:
            need = (0 if layer.in_host else layer.growth_bytes(tokens)) \
                + self._ring_growth(layer, tokens)
            missing = self.missing_bytes(need) if need else 0
            if missing <= 0:
                return
            goes = self._next_to_go(layer)
            if goes is None:
                break
            self._send_home(goes)
        streamer = self.streamer()
        if streamer is not None and not layer.group.weights_stay:
            moved = yield_weights(streamer, missing + need // YIELD_PART)
            layer.group.weights_stay = moved == 0

    def _ring_growth(self, layer, tokens: int) -> int:
        if not layer.in_host and not len(self._homed):
            return 0
        if self.ring is None:
            self.ring = KvRing(self)
        return self.ring.growth(layer, tokens)

    def _next_to_go(self, layer):
        """None where nothing more can."""
        for group in sorted(self._groups, key=lambda group: group.used):
            for one in _in_order_of_leaving(group.layers()):
                if not one.in_host and (one is layer or one.hbm_bytes):
                    return one
        return None

    def _send_home(self, layer) -> None:
        for part in layer.parts():
            part.reserve_home(part.length)
        for part in layer.parts():
            part.send_home()
        self._home(layer)

    def _home(self, layer) -> None:
        layer.in_host = True
        layer.epoch += 1
        if layer not in self._homed:
            self._homed.add(layer)
            weakref.finalize(layer, self._drop_ring).atexit = False

    def _drop_ring(self) -> None:
        """When no layer is in the host any more, the slots go; not in a process that was forked."""
        if os.getpid() == self._process and not list(self._homed):
            self.ring = None


def _in_order_of_leaving(layers: list) -> list:
    """The first ones of it lie evenly among all, however many they are."""
    return [layers[at] for at in sorted(range(len(layers)), key=lambda at: at * GOLDEN % 1)]
