"""What torch.OutOfMemoryError says more while streaming is on: who holds what of the HBM budget,
and what would fit. Computed where the error is made, so it costs nothing before. Any thread."""
from __future__ import annotations

import re

import torch

from spillway.torch import inventory, reporting
from spillway.torch.patches import Patches
from spillway.torch.sizes import format_size, parse_size

_ASKED = re.compile(r"Tried to allocate ([\d.]+ (?:TiB|GiB|MiB|KiB|bytes))")
_STEP = 64 << 20  # suggestions are rounded up to it


def install(streamer, patches: Patches) -> None:
    """Errors that torch raises about our device say more; that they are errors, and which, stays.
    Errors of our own are explained by the pool already."""
    patches.set(torch.OutOfMemoryError, "__init__", lambda original: _explained(streamer, original))


def _explained(streamer, original):
    def __init__(self, *args):
        original(self, *args)
        if args and isinstance(args[0], str) and (match := _ASKED.search(args[0])):
            try:
                text = explain(streamer, parse_size(match[1].replace("bytes", "B")))
            except Exception:  # models that change meanwhile: the error itself matters more
                return
            self.args = (f"{args[0]}\n{text}", *args[1:])
    return __init__


def explain(streamer, asked_bytes: int) -> str:
    """`asked_bytes`: what there was no room for."""
    hbm = reporting.hbm_use(streamer, inventory.placed(streamer, inventory.alive_roots()))
    others = hbm["other_bytes"] + asked_bytes
    enough = -(-(hbm["used_bytes"] + asked_bytes) // _STEP) * _STEP
    work = -(-others // _STEP) * _STEP
    return (f"spillway.torch: of hbm_budget, {format_size(hbm['budget_bytes'])}, weights hold "
            f"{format_size(hbm['weights_bytes'])}, the ring {format_size(hbm['ring_bytes'])}, "
            f"others (activations, KV cache, workspaces, page tables) "
            f"{format_size(hbm['other_bytes'])}; {format_size(asked_bytes)} were asked for. "
            f"What would fit: enable(hbm_budget='{enough >> 20}MiB'), or "
            f"enable(work='{work >> 20}MiB'), which sends more weights "
            f"to the host; or a smaller batch or context.")
