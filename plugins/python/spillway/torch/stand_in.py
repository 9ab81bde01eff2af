"""The CPU in a GPU's place (devices.py): memory of the host is its own, and copies are made at
once. One thread a call."""
from __future__ import annotations

import ctypes
import time
import weakref

import torch

from spillway.torch.compat import address_of
from spillway.torch.device import PAGE_TABLE_SHARE, Device, Keeper


class Cpu(Device):
    """Copies at once; marks are nothing; HBM is what it was told to keep."""

    page_table_share = PAGE_TABLE_SHARE

    def __init__(self):
        self.device = torch.device("cpu")
        self._kept = {}  # by id: a weak reference. A tensor has no hash of its value

    def holds(self, tensor: torch.Tensor) -> bool:
        return id(tensor) in self._kept or "spillway_weight" in tensor.__dict__

    def allocated_bytes(self) -> int:
        alive = [kept() for kept in list(self._kept.values())]
        return sum(tensor.numel() * tensor.element_size() for tensor in alive
                   if tensor is not None and "spillway_weight" not in tensor.__dict__)

    def keep(self, tensor: torch.Tensor) -> None:
        key = id(tensor)
        self._kept[key] = weakref.ref(tensor, lambda _: self._kept.pop(key, None))

    def tensor(self, keeper: Keeper, shape, dtype) -> torch.Tensor:
        region = keeper.region
        buffer = (ctypes.c_uint8 * region.size_bytes).from_address(region.address)
        buffer.keeper = keeper  # the tensor keeps the buffer
        return torch.frombuffer(buffer, dtype=torch.uint8).view(dtype).view(shape)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        target.copy_(source)

    def stream(self):
        return None

    def new_mark(self):
        return None

    def new_stream(self):
        return None

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done, sample=None,
             stream=None) -> None:
        if sample is not None:
            self.stamp(sample.start)
        target.copy_(source)
        if sample is not None:
            self.stamp(sample.end)

    def unpack(self, target: torch.Tensor, packed, after, done, sample=None) -> None:
        if sample is not None:
            self.stamp(sample.start)
        packed.read(target.numel(), address_of(target))
        if sample is not None:
            self.stamp(sample.end)

    def mark_in(self, mark, stream) -> None:
        pass

    def stamp_in(self, stamp, stream, after=()) -> None:
        self.stamp(stamp)

    def used_in(self, tensor: torch.Tensor, stream) -> None:
        pass

    def joined_kernels(self, pool):
        return _JoinedKernels()

    def send(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        target.copy_(source)

    def new_stamp(self):
        return [0.0]

    def stamp(self, stamp) -> None:
        stamp[0] = time.perf_counter()

    def seconds_between(self, start, end) -> float | None:
        return end[0] - start[0]

    def wait(self, mark) -> None:
        pass

    def mark(self, mark) -> None:
        pass

    def passed(self, mark) -> bool:
        return True

    def finish(self, mark) -> None:
        pass

    def start_rows(self, channel, job) -> None:
        channel.compute(job)

    def mark_link(self, channel, waits: bool) -> None:
        pass

    def join_rows(self, channel) -> None:
        pass

    def attend(self, query, keys, values, scale):
        scores = query.float() @ keys.float().transpose(-1, -2) * scale
        return torch.softmax(scores, -1) @ values.float(), torch.logsumexp(scores, -1)

    def synchronize(self) -> None:
        pass

    def capturing(self) -> bool:
        return False


class _JoinedKernels:
    """What joined_kernels.CudaKernels computes, by torch."""

    def left_to_torch(self) -> list[str]:
        return []

    def norm(self, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        squares = x.float().square()
        scaled = x.float() * torch.rsqrt(squares.mean(-1, True) + epsilon)
        return weight * scaled.to(x.dtype)

    def silu_times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(x) * factor

    def copy_two(self, one: torch.Tensor, other: torch.Tensor, to: tuple[int, int]) -> bool:
        for target, source in zip(to, (one, other)):
            ctypes.memmove(target, address_of(source), source.nbytes)
        return True

    def rotate(self, q, k, cos, sin) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = cos[:, None], sin[:, None]
        return tuple(x * cos + self._turned(x) * sin for x in (q, k))

    @staticmethod
    def _turned(x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, -1)
        return torch.cat((second.neg(), first), -1)
