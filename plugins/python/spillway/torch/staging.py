"""Files to HBM by way of pinned memory. Each thread has two pieces of its own while it loads."""
from __future__ import annotations

import threading

import torch

from spillway.torch.direct_file import PAGE

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

        def start(number):
            memory, copied = pieces[number % 2]
            copied.synchronize()
            begin, end = edges[number:number + 2]
            lead = (tensor.offset + begin) % PAGE  # of the first piece; the others begin at a page
            target = memory[lead:lead + end - begin]
            return target, tensor.start(begin, end - begin, target)

        def finish(number, coming):
            target, ticket = coming
            tensor.wait(ticket)
            flat[edges[number]:edges[number + 1]].copy_(target, non_blocking=True)
            pieces[number % 2][1].record(stream)

        last = len(edges) - 2
        with self._reader.turn:
            coming = start(0)
            for number in range(last):
                following = start(number + 1)
                finish(number, coming)
                coming = following
        finish(last, coming)
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
