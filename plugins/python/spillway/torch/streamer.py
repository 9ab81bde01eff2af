"""Homes for weights, and how a layer gets at one whose home is the host. One Streamer a process and
device; thread-safe where torch is."""
from __future__ import annotations

import threading

import torch

from spillway import library
from spillway.torch.placement import spread
from spillway.torch.ring import BACKWARD, FORWARD, Ring, Weight
from spillway.torch.sizes import format_size

# Smaller weights are not worth a slot: they stay in HBM.
LEAST_BYTES = 1 << 20
RING_SLOTS = 3


class Streamer:
    """`hbm_bytes` is what weights and ring may take of HBM together."""

    def __init__(self, device, pool: library.Pool, hbm_bytes: int):
        self.device = device
        self.pool = pool
        self.hbm_bytes = hbm_bytes
        self.ring: Ring | None = None
        self._lock = threading.RLock()
        self._ring_bytes = 0
        self._homes: set[int] = set()  # addresses that place() gave

    def is_ours(self, device: torch.device) -> bool:
        ours = self.device.device
        return device.type == ours.type and (device.index is None or device.index == ours.index)

    # -- Homes

    def plan(self, root: torch.nn.Module, dtype=None) -> dict[str, bool]:
        """Of each weight of a linear layer that is not on our device yet, by its name: True where
        its home is to be the host. The layers are taken in the order that the module has."""
        weights = [(name, _size(module.weight, dtype)) for name, module in root.named_modules()
                   if self._is_streamable(module, dtype)]
        total = sum(size for _, size in weights)
        coming = {id(p): p for p in root.parameters() if not self.device.holds(p)}
        fixed = sum(_size(p, dtype) for p in coming.values()) - total
        room = self.hbm_bytes - self.device.allocated_bytes() - fixed
        if total > room:
            slots = RING_SLOTS * max(size for _, size in weights)
            room -= max(0, slots - self._ring_bytes)
        in_host = spread([size for _, size in weights], room)
        return {f"{name}.weight" if name else "weight": goes
                for (name, _), goes in zip(weights, in_host)}

    def place(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """A tensor of our device with the same values, whose bytes lie in the host."""
        size = _size(tensor)
        try:
            region = self.pool.host_region(size, name)
        except library.BudgetError as error:
            raise torch.OutOfMemoryError(
                f"{name} has no room in host memory, {format_size(size)}: {error}") from error
        home = self.device.tensor(region, tensor.shape, tensor.dtype)
        if tensor.device.type == "cpu":
            self.device.write(home, tensor)
        else:
            home.copy_(tensor)
        with self._lock:
            self._homes.add(home.data_ptr())
        return home

    def adopt(self, parameter: torch.nn.Parameter) -> None:
        """The parameter is one that place() made: layers that use it stream it from now on."""
        if parameter.data_ptr() in self._homes:
            parameter.spillway_weight = Weight(parameter.detach())
            self._grow_ring(parameter.spillway_weight.size_bytes)

    def place_module(self, root: torch.nn.Module, dtype=None) -> None:
        """Before root.to(device, dtype): the weights that do not go to HBM go to their homes."""
        for name, goes in self.plan(root, dtype).items():
            if not goes:
                continue
            parameter = root.get_parameter(name)
            source = parameter.detach()
            if dtype is not None and source.is_floating_point():
                source = source.to(dtype)
            parameter.data = self.place(source, name)
            self.adopt(parameter)

    def _is_streamable(self, module: torch.nn.Module, dtype) -> bool:
        if type(module) is not torch.nn.Linear or self.device.holds(module.weight):
            return False
        return _size(module.weight, dtype) >= LEAST_BYTES

    def _grow_ring(self, slot_bytes: int) -> None:
        with self._lock:
            if RING_SLOTS * slot_bytes > self._ring_bytes:
                self.ring = None  # first: both would not fit
                self.ring = Ring(self.device, RING_SLOTS, slot_bytes)
                self._ring_bytes = RING_SLOTS * slot_bytes

    # -- Use

    def linear(self, x: torch.Tensor, parameter: torch.Tensor, bias) -> torch.Tensor:
        """F.linear with a weight whose home is the host."""
        weight = parameter.spillway_weight
        if parameter.data_ptr() != weight.home.data_ptr() or self.device.capturing():
            return torch.nn.functional.linear(x, parameter, bias)  # in place: slower, and right
        if torch.is_grad_enabled() and (x.requires_grad or parameter.requires_grad):
            return _StreamedLinear.apply(x, parameter, bias, self.ring)
        slot = self.ring.fetch(weight)
        try:
            return torch.nn.functional.linear(x, slot, bias)
        finally:
            self.ring.release(weight)


class _StreamedLinear(torch.autograd.Function):
    """Saves the parameter, not the slot: backward fetches the weight once more."""

    @staticmethod
    def forward(ctx, x, parameter, bias, ring):
        ctx.save_for_backward(x, parameter)
        ctx.ring = ring
        ctx.weight = weight = parameter.spillway_weight
        slot = ring.fetch(weight)
        try:
            return torch.nn.functional.linear(x, slot, bias)
        finally:
            ring.release(weight)

    @staticmethod
    def backward(ctx, gradient):
        x, _ = ctx.saved_tensors
        x_gradient = weight_gradient = bias_gradient = None
        if ctx.needs_input_grad[0]:
            slot = ctx.ring.fetch(ctx.weight, BACKWARD)
            try:
                x_gradient = gradient @ slot.to(gradient.dtype)
            finally:
                ctx.ring.release(ctx.weight, BACKWARD)
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            weight_gradient = rows.t() @ x.reshape(-1, x.shape[-1]).to(rows.dtype)
        if ctx.needs_input_grad[2]:
            bias_gradient = rows.sum(0)
        return x_gradient, weight_gradient, bias_gradient, None


def _size(tensor: torch.Tensor, dtype=None) -> int:
    """In bytes, and of that dtype if it is a floating-point tensor."""
    converts = dtype is not None and tensor.is_floating_point()
    return tensor.numel() * (dtype.itemsize if converts else tensor.element_size())
