"""Homes for weights, and how a layer gets at one whose home is the host. One Streamer a process and
device; thread-safe where torch is."""
from __future__ import annotations

import contextlib
import threading
import weakref

import torch
from torch.nn import functional

from spillway import library
from spillway.torch.devices import Keeper
from spillway.torch.linear import streamed_linear
from spillway.torch.order import Order
from spillway.torch.placement import largest_in_ring, spread
from spillway.torch.ring import Ring
from spillway.torch.sizes import format_size
from spillway.torch.weight import Weight, weight_of


class Streamer:
    """`hbm_bytes` is what weights and ring may take of HBM together."""

    def __init__(self, device, pool: library.Pool, hbm_bytes: int):
        self.device = device
        self.pool = pool
        self.hbm_bytes = hbm_bytes
        self.ring: Ring | None = None
        self.order = Order(self)
        self._lock = threading.RLock()
        self._here = threading.local()
        self._homes: weakref.WeakValueDictionary[int, Keeper] = weakref.WeakValueDictionary()

    def is_ours(self, device: torch.device) -> bool:
        ours = self.device.device
        return device.type == ours.type and (device.index is None or device.index == ours.index)

    # -- Homes

    def plan(self, root: torch.nn.Module, dtype=None, tied=None) -> dict[str, bool]:
        """Of each weight of a linear layer that is not on our device yet, by its name: True where
        its home is to be the host. The layers are taken in the order that the module has. Where
        any goes, the ring is made: grown weight by weight it would leave holes in HBM.

        `tied` names parameters that are to be the same as others, which they are not yet."""
        coming = {name: p for name, p in root.named_parameters()
                  if not self.device.holds(p) and name not in (tied or {})}
        names = {id(parameter): name for name, parameter in coming.items()}
        found = {}  # tied ones once, where they come first
        for path, module in root.named_modules():
            if is_streamable(module, self.device.least_bytes, dtype):
                name = (tied or {}).get(f"{path}.weight", names.get(id(module.weight)))
                if name in coming:
                    found.setdefault(name, size_of(coming[name], dtype))
        weights = list(found.items())
        total = sum(size for _, size in weights)
        fixed = sum(size_of(p, dtype) for p in coming.values()) - total
        room = self.hbm_bytes - self.allocated_bytes() - fixed
        if weights and total > room:
            largest = largest_in_ring([size for _, size in weights], room, self.ring_growth)
            room -= self.ring_growth(largest) + sum(s for _, s in weights if s > largest)
            weights = [(name, size) for name, size in weights if size <= largest]
        in_host = spread([size for _, size in weights], room)
        if any(in_host):
            self.ring_for(max(size for (_, size), goes in zip(weights, in_host) if goes))
        return {name: goes for (name, _), goes in zip(weights, in_host)}

    @contextlib.contextmanager
    def planned(self):
        """What this thread registers meanwhile has been planned; nothing else is decided for it."""
        before = self.is_planned()
        self._here.planned = True
        try:
            yield
        finally:
            self._here.planned = before

    def is_planned(self) -> bool:
        return getattr(self._here, "planned", False)

    def place(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """A tensor of our device with the same values, whose bytes lie in the host."""
        with torch.inference_mode(False), torch.no_grad():  # inference tensors count no writes
            home = self.empty_home(tensor, name)
            if tensor.device.type == "cpu":
                self.device.write(home, tensor)
            else:
                home.copy_(tensor)
            return home

    def empty_home(self, like: torch.Tensor, name: str) -> torch.Tensor:
        """As place() gives, with bytes that mean nothing yet."""
        size = size_of(like)
        try:
            region = self.pool.host_region(size, name)
        except library.BudgetError as error:
            raise torch.OutOfMemoryError(
                f"{name} has no room in host memory, {format_size(size)}: {error}") from error
        return self.home_over(region, like)

    def home_over(self, region, like) -> torch.Tensor:
        """A tensor of our device, of the shape and dtype of `like`, over the region's bytes."""
        keeper = Keeper(region, self.device.synchronize)
        with torch.inference_mode(False):
            home = self.device.tensor(keeper, like.shape, like.dtype)
        self._homes[region.address] = keeper
        weakref.finalize(keeper, self._drop_ring).atexit = False
        return home

    def is_home(self, tensor: torch.Tensor) -> bool:
        """It begins where place() put something."""
        return type(tensor) in (torch.Tensor, torch.nn.Parameter) \
            and self.is_ours(tensor.device) and tensor.data_ptr() in self._homes

    def adopt(self, parameter: torch.nn.Parameter) -> None:
        """Layers stream the parameter from now on if place() made it; no longer if it has left."""
        if weight_of(parameter) is not None:
            return
        parameter.__dict__.pop("spillway_weight", None)
        keeper = self._homes.get(parameter.data_ptr()) if self.is_home(parameter) else None
        if keeper is None or size_of(parameter) != keeper.region.size_bytes \
                or not parameter.is_contiguous():
            return
        with torch.inference_mode(False):
            weight = Weight(parameter.detach(), keeper.weights)
        parameter.spillway_weight = weight
        self.device.adopted(weight, keeper.region)
        self.ring_for(weight.size_bytes)

    def place_module(self, root: torch.nn.Module, dtype=None) -> None:
        """Before root.to(device, dtype): the weights that do not go to HBM go to their homes."""
        for name, goes in self.plan(root, dtype).items():
            parameter = root.get_parameter(name)
            if not goes or parameter.is_meta:
                continue
            source = parameter.detach()
            if dtype is not None and source.is_floating_point():
                source = source.to(dtype)
            parameter.data = self.place(source, name)

    def settle(self, module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
        """A module has registered the parameter. Where it was made on our device beyond what
        weights may take there, it gets its home; the order of use spreads those later."""
        if not self.is_ours(parameter.device):
            return
        self.adopt(parameter)
        if self.device.holds(parameter) and parameter.__dict__.get("spillway_settled"):
            return
        parameter.spillway_settled = True
        self.device.keep(parameter)
        if self.is_planned() or name != "weight" \
                or not is_streamable(module, self.device.least_bytes, None, parameter):
            return
        size = size_of(parameter)
        spills = self.allocated_bytes() + self.ring_growth(size) > self.hbm_bytes
        if spills and weight_of(parameter) is None:
            parameter.data = self.place(parameter.detach(), f"{type(module).__name__}.{name}")
        self.order.expect(module)

    # -- The ring

    def allocated_bytes(self) -> int:
        """Of HBM, the ring included."""
        counted = self.device.allocated_bytes()
        return counted + (self.ring.size_bytes if self.ring and not self._torch_counts() else 0)

    def _torch_counts(self) -> bool:
        return self.device.device.type == "cuda"

    def ring_growth(self, size_bytes: int) -> int:
        """What the ring would take more of HBM if such a weight streamed."""
        now = self.ring.size_bytes if self.ring else 0
        return max(0, self.device.ring_slots * size_bytes - now)

    def ring_for(self, size_bytes: int) -> Ring:
        """The ring, with slots that hold so much."""
        with self._lock:
            ring = self.ring
            if ring is None or ring.slot_bytes < size_bytes:
                self.device.synchronize()  # copies into the old one are under way
                self.ring = None  # first: both would not fit
                self.ring = ring = Ring(self.device, self.device.ring_slots, size_bytes)
            return ring

    def _drop_ring(self) -> None:
        """When no weight has its home in the host any more, the ring goes as well."""
        if not list(self._homes.values()):
            self.ring = None

    # -- Use

    def linear(self, x: torch.Tensor, parameter: torch.Tensor, bias) -> torch.Tensor:
        """F.linear with a weight whose home is the host."""
        weight = weight_of(parameter) if self._may_stream(x) else None
        if weight is None or not weight.alone():
            return functional.linear(x, parameter, bias)  # in place: slower, and right
        ring = self.ring
        if ring is None or ring.slot_bytes < weight.size_bytes:
            ring = self.ring_for(weight.size_bytes)
        return streamed_linear(x, parameter, bias, weight, ring)

    def _may_stream(self, x) -> bool:
        """Not what is recorded to run again later (the slot would be recorded), nor what functional
        transforms and dispatch modes look into."""
        return (type(x) in (torch.Tensor, torch.nn.Parameter) and not self.device.capturing()
                and not torch._C._are_functorch_transforms_active()
                and not torch._C._is_tracing() and torch._C._len_torch_dispatch_stack() == 0
                and torch.autograd.forward_ad._current_level < 0)


def is_streamable(module: torch.nn.Module, least_bytes: int, dtype=None, weight=None) -> bool:
    """Subclasses of layers may do with their weights what they like, and those of parameters
    (quantised ones, fake ones) are more than their bytes: those stay in HBM."""
    if type(module) is not torch.nn.Linear:
        return False
    weight = module.weight if weight is None else weight
    return type(weight) is torch.nn.Parameter and size_of(weight, dtype) >= least_bytes


def size_of(tensor: torch.Tensor, dtype=None) -> int:
    """In bytes, and of that dtype if it is a floating-point tensor."""
    converts = dtype is not None and tensor.is_floating_point()
    return tensor.numel() * (dtype.itemsize if converts else tensor.element_size())
