"""What is the same for all devices that weights stream to (devices.py), and what keeps memory of
the host for them. One thread a call."""
from __future__ import annotations

import mmap
import os
import weakref

import torch

from spillway import library


# Of host memory that a GPU reaches, what its driver takes of HBM to map it: 8 bytes a page
# (measured: docs/decisions/page-tables.md).
PAGE_TABLE_SHARE = 8 / mmap.PAGESIZE


class Keeper:
    """Gives a region back when nobody refers to it any more, and the device has done with it."""

    def __init__(self, region: library.HostRegion, wait):
        self.region = region
        self.weights = weakref.WeakSet()  # over its bytes
        self._wait = wait
        self._process = os.getpid()

    def __del__(self):
        if os.getpid() != self._process:
            return  # a copy in a process that was forked: the memory is its parent's
        try:
            self._wait()
            self.region.close()
        except Exception:  # at the end of the process torch or the library may be gone already
            pass


class Device:
    """What is the same for all of them."""

    tiers = ("HBM", "host")  # what people call where weights lie: on the device, and else
    reader = None  # of checkpoints (direct_file.Reader); None: as safetensors reads them
    uses_page_cache = False  # by that reader
    ring_slots = 3
    alignment = 512  # of torch's own allocations: kernels are chosen by it, and results with them
    least_bytes = 64 << 10  # smaller weights are not worth a slot or a home: they stay in HBM
    looks_up = True  # tables of embeddings may have homes, too
    unpacks = True  # it has unpack()
    trains = True  # and so may gradients and the state of optimizers
    page_table_share = 0.0  # of mapped host memory: what its page tables take of the device's
    adapter_rank = 128  # matrices of this rank at most stay in HBM

    def slot_bytes(self, size_bytes: int) -> int:
        """What a weight takes of a ring."""
        return -(-size_bytes // self.alignment) * self.alignment

    def ring_memory(self, size_bytes: int) -> torch.Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8, device=self.device)

    def empty(self, shape, dtype) -> torch.Tensor:
        with torch.inference_mode(False):  # else it could be written in inference mode only
            return torch.empty(shape, dtype=dtype, device=self.device)

    def slot_lead(self, home: torch.Tensor) -> int:
        """Bytes of a slot before a copy of this home."""
        return 0

    def keep_limit(self) -> None:
        """Torch gives back what it holds beyond what it may. In a thread that runs models: what
        gives memory back may spoil a graph that such a thread is recording."""

    def drop(self, ready) -> None:
        """Nobody waits any more for what copy() was to bring, and its place is wanted. Here the
        next copy comes after it anyway."""

    def place_file(self, streamer, tensor, name: str) -> torch.Tensor:
        """A home with what lies in a file (checkpoint.FileTensor)."""
        return streamer.place(tensor.read(), name)

    def load_file(self, tensor) -> torch.Tensor:
        """What lies in a file, in memory of the device."""
        return tensor.read()

    def multiply_rows(self, channel, product, x: torch.Tensor) -> torch.Tensor:
        """A product of x that is the CPU's as a whole (cpu_rows.Product): what the current stream
        is given from now on finds the result."""
        product.x.copy_(x)
        self.start_rows(channel, product.job)
        self.join_rows(channel)
        return product.y.to(x.dtype, copy=True)

    def joined_kernels(self, pool: library.Pool):
        """What does the steps of joined.py; None: nothing does."""
        return None

    def adopted(self, weight, region) -> None:
        """A weight streams from now on, from the region."""
