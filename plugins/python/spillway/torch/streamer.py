"""Homes for weights, and how a layer gets at one whose home is the host. One Streamer a process and
device; thread-safe where torch is."""
from __future__ import annotations

import contextlib
import os
import threading
import weakref

import torch
from torch.nn import functional

from spillway import library
from spillway.torch import compat, placement
from spillway.torch.compat import address_of
from spillway.torch.cpu_rates import Amounts
from spillway.torch.device import Keeper
from spillway.torch.kinds import size_of, sort_weights
from spillway.torch.linear import streamed_linear
from spillway.torch.making import Making
from spillway.torch.order import Order
from spillway.torch.ring import Ring
from spillway.torch.sizes import format_size
from spillway.torch.weight import Weight, weight_of


class Streamer:
    """`hbm_bytes` is what weights and ring may take of HBM together."""

    def __init__(self, device, pool: library.Pool, hbm_bytes: int):
        self.device = device
        self.pool = pool
        self.hbm_bytes = hbm_bytes
        self.work_bytes = 0  # of the HBM budget beside them, for what torch allocates otherwise
        self.ring: Ring | None = None
        self.cpu_rows = None  # a CpuRows, where the CPU takes part
        self.limit = None  # of torch's memory (segments.Limit), where there is one
        self.packing = None  # a Packing, where packed copies are made of weights that stream
        self.kv = None  # a KvTiers, where transformers is there
        self.order = Order(self)
        self.making = Making(self)
        self.training_homes: weakref.WeakSet[Keeper] = weakref.WeakSet()  # of training.py
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._here = threading.local()
        self._homes: weakref.WeakValueDictionary[int, Keeper] = weakref.WeakValueDictionary()
        self._span = (1 << 64, 0)  # of addresses that homes have, or had

    def is_ours(self, device: torch.device) -> bool:
        ours = self.device.device
        return device.type == ours.type and (device.index is None or device.index == ours.index)

    # -- Homes

    def plan(self, root: torch.nn.Module, dtype=None, tied=None) -> dict[str, bool]:
        """Of each weight of a linear layer or an embedding that is not on our device yet, by its
        name: True where its home is to be the host. Embeddings go first; then layers, taken in the
        order that the module has. Where any streams, the ring is made: grown weight by weight it
        would leave holes in HBM.

        `tied` names parameters that are to be the same as others, which they are not yet."""
        self.keep_limit()
        coming = {name: p for name, p in root.named_parameters()
                  if not self.device.holds(p) and name not in (tied or {})}
        streams, looked_up = sort_weights(root, coming, self.device, dtype, tied or {})
        sizes = {**looked_up, **streams}
        total = sum(size_of(p, dtype) for p in coming.values())
        room = self.hbm_bytes - self.allocated_bytes() - total
        tables, needed = -1, 0
        while needed > tables:  # the more goes to the host, the more HBM do its page tables take
            tables = needed
            homes = self._choose_homes(looked_up, streams, room - tables)
            needed = int(self.device.page_table_share
                         * sum(size for name, size in sizes.items() if homes[name]))
        if most := max((size for name, size in streams.items() if homes[name]), default=0):
            self.ring_for(most)
        return homes

    def _choose_homes(self, looked_up: dict[str, int], streams: dict[str, int],
                      room: int) -> dict[str, bool]:
        """Of bytes by name, where all in HBM would leave `room` free: True for the host."""
        in_host = dict(zip(looked_up, placement.look_ups(list(looked_up.values()), -room)))
        room += sum(size for name, size in looked_up.items() if in_host[name])
        room += sum(streams.values())
        sizes = list(streams.values())
        goes = placement.stream(sizes, room, self.ring_growth, self.keep_first(sizes, room))
        return {**in_host, **dict(zip(streams, goes))}

    def keep_first(self, sizes: list[int], hbm_bytes: int) -> int:
        """Of weights in the order of their use: how many stay in HBM, as they come first."""
        return 0 if self.cpu_rows is None else placement.keep_first(sizes, hbm_bytes)

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
        return self.home_over(self.host_region(size_of(like), name), like)

    def host_region(self, size_bytes: int, name: str):
        """Of the pool. torch.OutOfMemoryError."""
        try:
            return self._region(size_bytes, name)
        except library.BudgetError as error:
            raise torch.OutOfMemoryError(f"{name} has no room in host memory, "
                                         f"{format_size(size_bytes)}: {error}") from error

    def _region(self, size_bytes: int, name: str):
        try:
            region = self.pool.host_region(size_bytes, name)
        except library.BudgetError:
            if not self.drop_copies():
                raise
            region = self.pool.host_region(size_bytes, name)
        self.keep_limit()
        return region

    def keep_limit(self) -> None:
        """Torch's limit is that for what the pool holds now, and torch keeps it. In a thread that
        runs models."""
        if self.limit is not None:
            self.limit.follow()
            self.device.keep_limit()

    def drop_copies(self) -> bool:
        """Packed copies go, which can be made again, as something else wants their memory. Whether
        there were any."""
        return self.packing is not None and self.packing.release()

    def home_over(self, region, like) -> torch.Tensor:
        """A tensor of our device, of the shape and dtype of `like`, over the region's bytes."""
        keeper = Keeper(region, self.device.synchronize)
        with torch.inference_mode(False):
            home = self.device.tensor(keeper, like.shape, like.dtype)
        self._homes[region.address] = keeper
        first, end = self._span
        self._span = min(first, region.address), max(end, region.address + region.size_bytes)
        weakref.finalize(keeper, self._drop_ring).atexit = False
        return home

    def may_be_home(self, address: int) -> bool:
        """False: no byte of a home lies there. Quick."""
        first, end = self._span
        return first <= address < end

    def weights_over(self, address: int) -> list[Weight]:
        """Those whose home begins there."""
        keeper = self._homes.get(address)
        return list(keeper.weights) if keeper is not None else []

    def is_home(self, tensor: torch.Tensor) -> bool:
        """It begins where place() put something."""
        return type(tensor) in (torch.Tensor, torch.nn.Parameter) \
            and self.is_ours(tensor.device) and address_of(tensor) in self._homes

    def adopt(self, parameter: torch.nn.Parameter) -> None:
        """Layers stream the parameter from now on if place() made it; no longer if it has left."""
        if weight_of(parameter) is not None:
            return
        parameter.__dict__.pop("spillway_weight", None)
        keeper = self._homes.get(address_of(parameter)) if self.is_home(parameter) else None
        if keeper is None or size_of(parameter) != keeper.region.size_bytes \
                or not parameter.is_contiguous():
            return
        with torch.inference_mode(False):
            weight = Weight(parameter.detach(), keeper.weights)
        parameter.spillway_weight = weight
        self.device.adopted(weight, keeper.region)

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

    # -- The ring

    def allocated_bytes(self) -> int:
        """Of HBM, the ring and page tables included; what packing takes is a part of `work`."""
        counted = self.device.allocated_bytes() + self.page_table_bytes()
        if self._torch_counts():
            return counted - (self.packing.staging_bytes if self.packing else 0)
        return counted + (self.ring.size_bytes if self.ring else 0)

    def page_table_bytes(self) -> int:
        """Of HBM, for what the pool holds in the host."""
        share = self.device.page_table_share
        return int(share * self.pool.host_use()["used_bytes"]) if share and self.pool else 0

    def _torch_counts(self) -> bool:
        return self.device.device.type == "cuda"

    def ring_growth(self, size_bytes: int) -> int:
        """What the ring would take more of HBM if such a weight streamed."""
        return max(0, self.device.ring_slots * self.device.slot_bytes(size_bytes)
                   - (self.ring.size_bytes if self.ring else 0))

    def ring_for(self, size_bytes: int) -> Ring:
        """The ring, with slots that hold so much."""
        with self._lock:
            ring = self.ring
            if ring is None or ring.slot_bytes < size_bytes:
                self.device.synchronize()  # copies into the old one are under way
                self.ring = None  # first: both would not fit
                self.ring = ring = Ring(self.device, self.device.ring_slots, size_bytes)
            return ring

    def amounts(self, least_bytes: int) -> Amounts:
        """What a token reads, where the CPU has rows of weights from that size on; once packed
        copies are made."""
        weights = [weight for keeper in list(self._homes.values()) for weight in keeper.weights]
        streamed = sum(weight.size_bytes for weight in weights)
        link = self.packing.expected_bytes(weights) if self.packing else streamed
        shared = [weight.size_bytes for weight in weights if weight.size_bytes >= least_bytes]
        return Amounts(self.allocated_bytes(), streamed, link, sum(shared), len(shared))

    def _drop_ring(self) -> None:
        """When no weight has its home in the host any more, the ring goes as well; not in a process
        that was forked, where destroying an event of CUDA's would end it."""
        if os.getpid() == self._process and not list(self._homes.values()):
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
        if self.packing is not None and not (parameter.requires_grad and torch.is_grad_enabled()):
            self.packing.note(weight)
        rows = self.cpu_rows
        if rows is not None and rows.takes_part(x, weight):
            y = rows.linear(x, bias, weight, ring)
            if y is not None:
                return y
        return streamed_linear(x, parameter, bias, weight, ring)

    def _may_stream(self, x) -> bool:
        """Not what is recorded to run again later (the slot would be recorded), nor what functional
        transforms and dispatch modes look into."""
        return (type(x) in (torch.Tensor, torch.nn.Parameter) and not self.device.capturing()
                and not compat.observed())
