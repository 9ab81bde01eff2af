"""What streaming needs of a device: memory of the host under an address of the device, copies
beside the computation, and marks in streams. Cuda is the real one; Cpu stands in where there is no
GPU, for tests and with the same ring. One thread a call."""
from __future__ import annotations

import ctypes

import torch

from spillway import library


class _Keeper:
    """Gives a region back when nobody refers to it any more, and the GPU has done with it."""

    def __init__(self, region: library.HostRegion, wait):
        self._region = region
        self._wait = wait

    def __del__(self):
        try:
            self._wait()
            self._region.close()
        except Exception:  # at the end of the process torch or the library may be gone already
            pass


class _CudaBytes:
    """Bytes of the host as torch.as_tensor() takes them; the tensor keeps this object."""

    def __init__(self, region: library.HostRegion):
        self._keeper = _Keeper(region, torch.cuda.synchronize)
        self.__cuda_array_interface__ = {
            "shape": (region.size_bytes,), "typestr": "|u1", "strides": None, "version": 3,
            "data": (region.address, False)}


class Cuda:
    """A CUDA device and a stream for copies to it."""

    def __init__(self, index: int):
        self.device = torch.device("cuda", index)
        self._copies = torch.cuda.Stream(self.device)

    def holds(self, tensor: torch.Tensor) -> bool:
        """The tensor is where it is to be, in HBM or at its home in the host."""
        return tensor.device == self.device

    def allocated_bytes(self) -> int:
        """Of tensors in HBM, the ring included."""
        return torch.cuda.memory_allocated(self.device)

    def tensor(self, region: library.HostRegion, shape, dtype) -> torch.Tensor:
        """A tensor of this device whose bytes lie in the host."""
        with torch.cuda.device(self.device):
            flat = torch.as_tensor(_CudaBytes(region), device=self.device)
        return flat.view(dtype).view(shape)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """From the CPU into memory of the host, without the GPU."""
        size = target.numel() * target.element_size()
        flat = (ctypes.c_uint8 * size).from_address(target.data_ptr())
        torch.frombuffer(flat, dtype=target.dtype).view(target.shape).copy_(source)

    def new_mark(self):
        return torch.cuda.Event()

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        """Starts when the mark `after` has passed; `done` passes with the last byte."""
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(after)
            target.copy_(source, non_blocking=True)
            done.record(self._copies)

    def wait(self, mark) -> None:
        """What the current stream is given from now on comes after the mark."""
        torch.cuda.current_stream(self.device).wait_event(mark)

    def mark(self, mark) -> None:
        """The end of what the current stream has been given by now."""
        mark.record(torch.cuda.current_stream(self.device))

    def capturing(self) -> bool:
        return torch.cuda.is_current_stream_capturing()


class Cpu:
    """Copies at once; marks are nothing."""

    def __init__(self):
        self.device = torch.device("cpu")

    def holds(self, tensor: torch.Tensor) -> bool:
        return hasattr(tensor, "spillway_weight")

    def allocated_bytes(self) -> int:
        return 0  # nobody counts them

    def tensor(self, region: library.HostRegion, shape, dtype) -> torch.Tensor:
        buffer = (ctypes.c_uint8 * region.size_bytes).from_address(region.address)
        buffer.keeper = _Keeper(region, lambda: None)  # the tensor keeps the buffer
        return torch.frombuffer(buffer, dtype=torch.uint8).view(dtype).view(shape)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        target.copy_(source)

    def new_mark(self):
        return None

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        target.copy_(source)

    def wait(self, mark) -> None:
        pass

    def mark(self, mark) -> None:
        pass

    def capturing(self) -> bool:
        return False
