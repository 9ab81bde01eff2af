"""What streaming needs of a device: memory of the host under an address of the device, copies
beside the computation, and marks in streams. Cuda is the real one; Cpu stands in where there is no
GPU, for tests and with the same ring. One thread a call."""
from __future__ import annotations

import ctypes
import weakref

import torch

from spillway import library
from spillway.torch.direct_file import Reader
from spillway.torch.staging import Staging


class Keeper:
    """Gives a region back when nobody refers to it any more, and the device has done with it."""

    def __init__(self, region: library.HostRegion, wait):
        self.region = region
        self.weights = weakref.WeakSet()  # over its bytes
        self._wait = wait

    def __del__(self):
        try:
            self._wait()
            self.region.close()
        except Exception:  # at the end of the process torch or the library may be gone already
            pass


class _CudaBytes:
    """Bytes of the host as torch.as_tensor() takes them; the tensor keeps this object."""

    def __init__(self, keeper: Keeper):
        self._keeper = keeper
        self.__cuda_array_interface__ = {
            "shape": (keeper.region.size_bytes,), "typestr": "|u1", "strides": None, "version": 3,
            "data": (keeper.region.address, False)}


class _Device:
    """What is the same for all of them."""

    reader = None  # of checkpoints (direct_file.Reader); None: as safetensors reads them
    uses_page_cache = False  # by that reader
    ring_slots = 3
    least_bytes = 1 << 20  # smaller weights are not worth a slot: they stay in HBM

    def slot_memory(self, size_bytes: int) -> torch.Tensor:
        return torch.empty(size_bytes, dtype=torch.uint8, device=self.device)

    def slot_view(self, memory: torch.Tensor, home: torch.Tensor) -> torch.Tensor:
        """Of a slot's memory, for a copy of this home."""
        size = home.numel() * home.element_size()
        return memory[:size].view(home.dtype).view(home.shape)

    def place_file(self, streamer, tensor, name: str) -> torch.Tensor:
        """A home with what lies in a file (checkpoint.FileTensor)."""
        return streamer.place(tensor.read(), name)

    def load_file(self, tensor) -> torch.Tensor:
        """What lies in a file, in memory of the device."""
        return tensor.read()

    def adopted(self, weight, region) -> None:
        """A weight streams from now on, from the region."""


class Cuda(_Device):
    """A CUDA device and a stream for copies to it."""

    uses_page_cache = True

    def __init__(self, index: int):
        self.device = torch.device("cuda", index)
        self.reader = Reader(threads=16, block_bytes=2 << 20)
        self._staging = Staging(self)
        self._copies = torch.cuda.Stream(self.device)

    def holds(self, tensor: torch.Tensor) -> bool:
        """The tensor is where it is to be, in HBM or at its home in the host."""
        return tensor.device == self.device

    def allocated_bytes(self) -> int:
        """Of tensors in HBM, the ring included."""
        return torch.cuda.memory_allocated(self.device)

    def keep(self, tensor: torch.Tensor) -> None:
        """The tensor is in HBM; torch counts it."""

    def tensor(self, keeper: Keeper, shape, dtype) -> torch.Tensor:
        """A tensor of this device whose bytes lie in the host."""
        with torch.cuda.device(self.device):
            flat = torch.as_tensor(_CudaBytes(keeper), device=self.device)
        return flat.view(dtype).view(shape)

    def place_file(self, streamer, tensor, name: str) -> torch.Tensor:
        """Straight into the home: pinned pages are written once, by the disk."""
        with torch.inference_mode(False), torch.no_grad():
            home = streamer.empty_home(tensor, name)
            tensor.wait(tensor.start(0, tensor.size_bytes, home))
            return home

    def load_file(self, tensor) -> torch.Tensor:
        """By way of pinned memory, the reads ahead of the copies."""
        return self._staging.load(tensor)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """From the CPU into memory of the host, without the GPU."""
        size = target.numel() * target.element_size()
        flat = (ctypes.c_uint8 * size).from_address(target.data_ptr())
        torch.frombuffer(flat, dtype=target.dtype).view(target.shape).copy_(source)

    def stream(self):
        """The current stream, as a key."""
        return torch.cuda.current_stream(self.device).cuda_stream

    def new_mark(self):
        return torch.cuda.Event()

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        """Starts when the marks `after` have passed; `done` passes with the last byte."""
        with torch.cuda.stream(self._copies):
            for mark in after:
                self._copies.wait_event(mark)
            target.copy_(source, non_blocking=True)
            done.record(self._copies)

    def wait(self, mark) -> None:
        """What the current stream is given from now on comes after the mark."""
        torch.cuda.current_stream(self.device).wait_event(mark)

    def mark(self, mark) -> None:
        """The end of what the current stream has been given by now."""
        mark.record(torch.cuda.current_stream(self.device))

    def synchronize(self) -> None:
        """All streams have done what they were given."""
        torch.cuda.synchronize(self.device)

    def capturing(self) -> bool:
        return torch.cuda.is_current_stream_capturing()


class Cpu(_Device):
    """Copies at once; marks are nothing; HBM is what it was told to keep."""

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

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        target.copy_(source)

    def wait(self, mark) -> None:
        pass

    def mark(self, mark) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def capturing(self) -> bool:
        return False
