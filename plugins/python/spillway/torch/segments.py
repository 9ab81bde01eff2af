"""How torch's own allocator takes HBM in, and how much. One thread, where it does not say else."""
from __future__ import annotations

import os
import threading

from spillway.torch import compat

VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
STEP = 2 << 20  # the driver takes memory in pieces of so much
GROWING, FIXED = "expandable_segments:True", "expandable_segments:False"


class GrowingSegments:
    """torch's `expandable_segments` until remove(), unless somebody has set anything there: in
    segments of fixed sizes a few small tensors keep what is free around them from all that is
    larger, and a budget was reached with room left (docs/results/kv-and-tuning-h100.md). Torch
    2.11 does not tell what a script has set; what the environment says is known."""

    def __init__(self):
        self._ours = not any(map(os.environ.get, VARIABLES)) and not compat.allocator_settings()
        if self._ours:
            compat.set_allocator_settings(GROWING)

    def remove(self) -> None:
        """As it was, where nobody has set anything else meanwhile."""
        if self._ours and compat.allocator_settings() in (GROWING, None):
            compat.set_allocator_settings(FIXED)
            compat.set_allocator_settings("")


class Limit:
    """Of HBM torch takes `most_bytes` until remove(), less the page tables of what the pool holds
    in the host. Any thread."""

    def __init__(self, streamer, most_bytes: int):
        self._streamer = streamer
        self._most = most_bytes
        self._tables = None
        self._open = True
        self._lock = threading.Lock()
        self.follow()

    def follow(self) -> None:
        """The pool may hold another amount by now."""
        with self._lock:
            tables = -(-self._streamer.page_table_bytes() // STEP) * STEP
            if self._open and tables != self._tables:
                self._tables = tables
                self._streamer.device.limit_torch(max(0, self._most - tables))

    def remove(self) -> None:
        with self._lock:
            self._open = False
            self._streamer.device.limit_torch(None)
            self._streamer.limit = None
