"""Files to HBM by way of pinned memory. Each thread has two pieces of its own while it loads."""
from __future__ import annotations

import threading

import torch

from spillway.torch.direct_file import PAGE

PIECE_BYTES = 16 << 20


class Staging:
    """For a CUDA device (devices.Cuda)."""

    def __init__(self, device):
        self._device = device.device
        self._here = threading.local()  # goes with its thread: loading threads end with the load

    def load(self, tensor) -> torch.Tensor:
        """What lies in a file (checkpoint.FileTensor), in HBM. OSError where it cannot be read."""
        result = torch.empty(tensor.shape, dtype=tensor.dtype, device=self._device)
        flat, size = result.view(-1).view(torch.uint8), tensor.size_bytes
        starts = range(0, size, PIECE_BYTES)
        lead = tensor.offset % PAGE  # pieces are whole pages: it is the same for all of them
        pieces, stream = self._pieces(), torch.cuda.current_stream(self._device)

        def start(number):
            memory, copied = pieces[number % 2]
            copied.synchronize()
            count = min(PIECE_BYTES, size - starts[number])
            target = memory[lead:lead + count]
            return target, tensor.start(starts[number], count, target)

        coming = start(0) if size else None
        for number, at in enumerate(starts):
            target, ticket = coming
            if number + 1 < len(starts):
                coming = start(number + 1)
            tensor.wait(ticket)
            flat[at:at + target.numel()].copy_(target, non_blocking=True)
            pieces[number % 2][1].record(stream)
        for _, copied in pieces:
            copied.synchronize()
        return result

    def _pieces(self):
        """Pinned memory that begins at a page, and the end of the last copy from it."""
        if not hasattr(self._here, "pieces"):
            self._here.pieces = [(_pages(PIECE_BYTES + 2 * PAGE), torch.cuda.Event())
                                 for _ in range(2)]
        return self._here.pieces


def _pages(size_bytes: int) -> torch.Tensor:
    memory = torch.empty(size_bytes + PAGE, dtype=torch.uint8, pin_memory=True)
    start = -memory.data_ptr() % PAGE
    return memory[start:start + size_bytes]
