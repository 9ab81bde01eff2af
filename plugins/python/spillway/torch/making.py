"""Weights that are made directly on the device, in nobody's plan. HBM first; where it is full, room
is made before the next one is allocated. Thread-compatible, as making a model is.

Embeddings go to the host first, then weights of linear layers, the oldest first: once the order of
their use is known they are spread in it.
"""
from __future__ import annotations

import weakref

import torch

from spillway.torch.kinds import is_look_up, is_streamable, size_of
from spillway.torch.order import move_in, move_out
from spillway.torch.weight import weight_of


class Making:
    def __init__(self, streamer):
        self._streamer = weakref.proxy(streamer)
        self._look_ups = weakref.WeakSet()  # embeddings that were made here

    def expect(self, count: int, device, dtype) -> None:
        """A weight of so many elements is about to be allocated; None: torch's defaults."""
        if self._streamer.is_planned():
            return
        device = torch.get_default_device() if device is None else torch.device(device)
        size = count * (dtype or torch.get_default_dtype()).itemsize
        if size >= self._streamer.device.least_bytes and self._streamer.is_ours(device):
            self._make_room(size)

    def settle(self, module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
        """A module has registered the parameter."""
        streamer = self._streamer
        if not streamer.is_ours(parameter.device):
            return
        streamer.adopt(parameter)
        known = streamer.device.holds(parameter) and parameter.__dict__.get("spillway_settled")
        parameter.spillway_settled = True
        streamer.device.keep(parameter)
        if streamer.is_planned() or name != "weight":
            return
        streams = is_streamable(module, streamer.device, None, parameter)
        if known and streams:
            self._share(parameter)
        elif not known and (streams or is_look_up(module, streamer.device, None, parameter)):
            self._settle_new(module, parameter, streams)

    def _settle_new(self, module, parameter, streams: bool) -> None:
        streamer, size = self._streamer, size_of(parameter)
        self._make_room(0)
        if self._lacks(0) and weight_of(parameter) is None:
            move_out(streamer, parameter, f"{type(module).__name__}.weight")
        if not streams:
            self._look_ups.add(module)
            return
        if weight_of(parameter) is not None:
            self._make_room(streamer.ring_growth(size))
            streamer.ring_for(size)
        streamer.order.expect(module)

    def _share(self, parameter) -> None:
        """A linear layer gets what an embedding has. Where that is in the host by now and larger
        than what streams, HBM is the better place."""
        streamer, size = self._streamer, size_of(parameter)
        if weight_of(parameter) is not None and streamer.ring_growth(size) > 0:
            self._make_room(size)
            if not self._lacks(size):
                move_in(parameter)

    def _lacks(self, size_bytes: int) -> bool:
        return self._streamer.allocated_bytes() + size_bytes > self._streamer.hbm_bytes

    def _make_room(self, size_bytes: int) -> None:
        """For so much more in HBM, as far as there is something that can leave it."""
        if not self._lacks(size_bytes):
            return
        layers = self._streamer.order.expected()
        self._move_look_ups(size_bytes, {id(layer.weight) for layer in layers})
        weights = {id(layer.weight): layer.weight for layer in layers
                   if is_streamable(layer, self._streamer.device)
                   and self._streamer.is_ours(layer.weight.device)}
        if not weights or not self._lacks(size_bytes):
            return
        for slot in self._slots([size_of(weight) for weight in weights.values()]):
            moved = self._move_layers(size_bytes, list(weights.values()), slot)
            if moved and not self._lacks(self._streamer.ring_growth(slot)):
                self._streamer.ring_for(slot)
            if not self._lacks(size_bytes):
                return

    def _move_look_ups(self, size_bytes: int, multiplied: set[int]) -> None:
        streamer = self._streamer
        for module in list(self._look_ups):
            weight = module.weight
            if self._lacks(size_bytes) and is_look_up(module, streamer.device) \
                    and id(weight) not in multiplied and streamer.is_ours(weight.device) \
                    and weight_of(weight) is None:
                move_out(streamer, weight)

    def _slots(self, sizes: list[int]) -> list[int]:
        """How large the largest weight may be that streams: as it is by now; then so large that
        only what would fill a ring of its own stays in HBM; then all go."""
        slots = self._streamer.device.ring_slots
        sizes = sorted(sizes, reverse=True)
        ring = self._streamer.ring
        return ([] if ring is None else [ring.slot_bytes]) + [sizes[min(slots, len(sizes) - 1)],
                                                              sizes[0]]

    def _move_layers(self, size_bytes: int, weights, slot_bytes: int) -> bool:
        """Whether any was moved. The ring that it takes needs room as well."""
        streamer, moved = self._streamer, False
        for weight in weights:
            if not self._lacks(size_bytes + streamer.ring_growth(slot_bytes)):
                break
            if size_of(weight) <= slot_bytes and weight_of(weight) is None:
                move_out(streamer, weight)
                moved = True
        streamer.order.learning |= moved
        return moved
