"""Files to HBM by way of pinned memory. Each thread has pieces of its own while it loads."""
from __future__ import annotations

import collections
import itertools
import threading
import weakref

import torch

from spillway.torch.direct_file import PAGE
from spillway.torch.host_memory import huge_pages

PIECES = 2
PIECE_BYTES = 16 << 20


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

        with self._reader.turn:
            for piece, (begin, end) in zip(itertools.cycle(pieces), itertools.pairwise(edges)):
                if len(coming) == len(pieces):
                    finish()
                start(piece, begin, end)
        while coming:
            finish()
        for _, copied in pieces:
            copied.synchronize()
        return result

    def _pieces(self):
        """Pinned memory that begins at a page, and the end of the last copy from it."""
        if not hasattr(self._here, "pieces"):
            self._here.pieces = [(_pinned(PIECE_BYTES + PAGE), torch.cuda.Event())
                                 for _ in range(PIECES)]
        return self._here.pieces


def _pinned(size_bytes: int) -> torch.Tensor:
    """As huge_pages(): torch's own pinned memory has pages as they come."""
    memory = huge_pages(size_bytes)
    runtime, address = torch.cuda.cudart(), memory.data_ptr()
    torch.cuda.check_error(runtime.cudaHostRegister(address, size_bytes, 0))
    weakref.finalize(memory, runtime.cudaHostUnregister, address).atexit = False
    return memory
