"""The order in which weights are used that were made directly on the device, in nobody's plan.

Once it is known, after the first forward pass, their homes are spread evenly in it. Thread-safe:
a model that several threads use before its order is known stays as it is.
"""
from __future__ import annotations

import threading
import weakref

import torch

from spillway import library
from spillway.torch import compat, placement
from spillway.torch.kinds import size_of
from spillway.torch.weight import weight_of


class Order:
    """`learning` says whether note() has something to learn from a use."""

    def __init__(self, streamer):
        self._streamer = weakref.proxy(streamer)
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self.learning = False
        # Layers by id, in the order of making. (Weak references to tensors forbid to swap them.)
        self._expected = {}
        self._used = {}  # ids, in the order of the first use
        self._thread = None

    def expect(self, layer: torch.nn.Module) -> None:
        """The layer's weight has been made; its use is to come."""
        with self._lock:
            key = id(layer)
            expected = self._expected
            expected[key] = weakref.ref(layer, lambda _: expected.pop(key, None))
            self._used.clear()
            self._thread = None
            if weight_of(layer.weight) is not None:
                self.learning = True

    def expected(self) -> list[torch.nn.Module]:
        """The layers whose use is to come, in the order of their making."""
        with self._lock:
            layers = [layer() for layer in list(self._expected.values())]
        return [layer for layer in layers if layer is not None and layer.weight is not None]

    def note(self, layer: torch.nn.Module) -> None:
        """The layer is about to be used."""
        with self._lock:
            key = id(layer)
            if not self.learning or key not in self._expected:
                return
            here = threading.get_ident()
            if self._streamer.device.capturing() or self._thread not in (None, here):
                self._forget()  # addresses are recorded, or in use elsewhere: nothing may move
                return
            self._thread = here
            if key != next(iter(self._used), None):
                self._used[key] = None
                return
            order = {**self._used, **dict.fromkeys(list(self._expected))}
            layers = [self._expected.get(key, lambda: None)() for key in order]
            self._forget()
            weights = {id(layer.weight): layer.weight for layer in layers if layer is not None
                       and type(layer.weight) is torch.nn.Parameter}
            self._spread(list(weights.values()))

    def _spread(self, parameters) -> None:
        """Moves as few as possible; what has no room to move stays, which is slower, and right."""
        streamer = self._streamer
        slot = streamer.ring.slot_bytes if streamer.ring is not None else 0
        parameters = [p for p in parameters if size_of(p) <= slot]  # larger ones stay in HBM
        if not parameters:
            return
        sizes = [size_of(p) for p in parameters]
        now = [weight_of(p) is not None for p in parameters]
        resident = sum(size for size, in_host in zip(sizes, now) if not in_host)
        room = streamer.hbm_bytes - streamer.allocated_bytes() + resident
        wanted = placement.spread_near(sizes, room, now, streamer.keep_first(sizes, room))
        changes = [p for p, here, there in zip(parameters, now, wanted) if here != there]
        out = [p for p in changes if weight_of(p) is None]
        streamer.device.synchronize()
        try:
            with torch.inference_mode(False), torch.no_grad():
                for parameter in (p for p in changes if weight_of(p) is not None):
                    size = size_of(parameter)
                    while out and streamer.allocated_bytes() + size > streamer.hbm_bytes:
                        move_out(streamer, out.pop(0))
                    if streamer.allocated_bytes() + size <= streamer.hbm_bytes:
                        move_in(parameter)
                for parameter in out:
                    move_out(streamer, parameter)
        except (torch.OutOfMemoryError, library.Error, OSError):
            pass


def move_in(parameter) -> None:
    """To HBM, if nobody has a view of its bytes."""
    if not _is_shared(parameter, 4):  # the parameter, its Weight's home and alias, and the question
        parameter.data = parameter.detach().clone()


def move_out(streamer, parameter, name: str = "weight") -> None:
    """To the host, if nobody has a view of its bytes."""
    if not _is_shared(parameter, 2):
        parameter.data = streamer.place(parameter.detach(), name)


def _is_shared(parameter, known: int) -> bool:
    """Somebody else has a view of its bytes, and would not see what is written after a move."""
    uses = compat.storage_uses(compat.storage_of(parameter))
    return uses is None or uses > known
