"""Files to HBM by way of pinned memory. Each thread has pieces of its own while it loads."""
from __future__ import annotations

import collections
import itertools
import os
import threading
import weakref

import torch

from spillway.torch.direct_file import PAGE
from spillway.torch.host_memory import huge_pages
from spillway.torch.sizes import format_size

PIECES = 2
PIECE_BYTES = 16 << 20
_PORTABLE = 1  # cudaHostRegisterPortable: of every context


class Staging:
    """For a CUDA device (devices.Cuda)."""

    def __init__(self, device):
        self._device, self._reader = device.device, device.reader
        self._here = threading.local()  # goes with its thread: loading threads end with the load

    def load(self, tensor) -> torch.Tensor:
        """What lies in a file (checkpoint.FileTensor), in HBM. OSError where it cannot be read."""
        result = torch.empty(tensor.shape, dtype=tensor.dtype, device=self._device)
        flat, size = result.view(-1).view(torch.uint8), tensor.size_bytes
        if not size:
            return result
        edges = [0, *range(PIECE_BYTES - tensor.offset % PAGE, size, PIECE_BYTES), size]
        pieces, stream = self._pieces(), torch.cuda.current_stream(self._device)
        coming = collections.deque()

        def start(piece, begin, end):
            memory, copied = piece
            copied.synchronize()
            lead = (tensor.offset + begin) % PAGE  # of the first piece; the others begin at a page
            target = memory[lead:lead + end - begin]
            coming.append((tensor.start(begin, end - begin, target), target, copied, begin, end))

        def finish():
            ticket, source, copied, begin, end = coming.popleft()
            tensor.wait(ticket)
            flat[begin:end].copy_(source, non_blocking=True)
            copied.record(stream)

        try:
            with self._reader.turn:
                for piece, (begin, end) in zip(itertools.cycle(pieces), itertools.pairwise(edges)):
                    if len(coming) == len(pieces):
                        finish()
                    start(piece, begin, end)
            while coming:
                finish()
        finally:  # an error in one leaves the others under way, to and from the pieces
            for ticket, *_ in coming:
                self._reader.finish(ticket)
            for _, copied in pieces:
                copied.synchronize()
        return result

    def _pieces(self):
        """Pinned memory that begins at a page, and the end of the last copy from it."""
        if not hasattr(self._here, "pieces"):
            self._here.pieces = [(_pinned(PIECE_BYTES, self._device), torch.cuda.Event())
                                 for _ in range(PIECES)]
        return self._here.pieces


def _pinned(size_bytes: int, device: torch.device) -> torch.Tensor:
    """As huge_pages(): torch's own pinned memory has pages as they come. RuntimeError."""
    memory = huge_pages(size_bytes)
    runtime, address = torch.cuda.cudart(), memory.data_ptr()
    with torch.cuda.device(device):  # else a thread's first call makes a context on the GPU 0
        error = runtime.cudaHostRegister(address, size_bytes, _PORTABLE)
    if error != runtime.cudaError.success:
        raise RuntimeError(
            f"the driver does not pin {format_size(size_bytes)} of host memory, by way of which "
            f"weights come to the GPU: {torch.cuda.CudaError(error)}; free host memory, or raise "
            f"the limit of locked memory (ulimit -l)")
    weakref.finalize(memory, _unpin, address, device, os.getpid()).atexit = False
    return memory


def _unpin(address: int, device: torch.device, process: int) -> None:
    if os.getpid() == process:  # a forked child has no part in it
        with torch.cuda.device(device):
            torch.cuda.cudart().cudaHostUnregister(address)
