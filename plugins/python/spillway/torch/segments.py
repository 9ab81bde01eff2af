"""How torch's own allocator takes HBM in. One thread."""
from __future__ import annotations

import os

from spillway.torch import compat

VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
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
