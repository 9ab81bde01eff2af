"""PyTorch beyond GPU memory: two lines before the model is loaded, and the rest stays as it is.

    import spillway.torch
    spillway.torch.enable(hbm_budget="12GiB", host_budget="64GiB")

Weights of linear layers that have no room in HBM get their home in host memory. They stay
parameters on the GPU, whose bytes it reads over the link; layers copy them into a ring in HBM ahead
of use.
`torch.cuda.memory_allocated` counts what lies in HBM: weights whose home is the host are not in it.
"""
from __future__ import annotations

import os

import torch

from spillway import library
from spillway.torch import devices, loading
from spillway.torch.patches import Patches
from spillway.torch.sizes import format_size, parse_size
from spillway.torch.streamer import Streamer

__all__ = ["disable", "enable", "report"]

# Of the HBM budget: activations, KV cache and workspaces.
WORK_BYTES = 640 << 20

_active = None


class _Active:
    def __init__(self, streamer: Streamer, patches: Patches):
        self.streamer = streamer
        self.patches = patches


def enable(hbm_budget: str | int | None = None, host_budget: str | int | None = None, *,
           device: int = 0, work: str | int = WORK_BYTES) -> None:
    """From now on models get their homes within the budgets. Before the model is loaded.

    Sizes are bytes or texts such as '12GiB'; None: $SPILLWAY_HBM_BUDGET and $SPILLWAY_HOST_BUDGET,
    or 0.9 of what is free. hbm_budget covers weights, the ring, and what torch allocates otherwise,
    for which `work` of it is kept free of weights; beyond it torch raises its OutOfMemoryError.
    host_budget covers the weights whose home is the host. Raises ValueError for what is no size,
    library.Error for what the machine refuses.
    """
    global _active
    if _active is not None:
        raise RuntimeError("spillway.torch is enabled already; disable() it first")
    free, total = torch.cuda.mem_get_info(device)
    hbm = parse_size(hbm_budget or os.environ.get("SPILLWAY_HBM_BUDGET")) or int(0.9 * free)
    host = parse_size(host_budget or os.environ.get("SPILLWAY_HOST_BUDGET"))
    weights = hbm - parse_size(work)
    if weights <= 0:
        raise ValueError(f"hbm_budget is {format_size(hbm)}, of which "
                         f"{format_size(parse_size(work))} are kept for activations: nothing is "
                         f"left for weights")
    # HBM is torch's own here, so the pool gets no more of it than the driver takes for itself.
    pool = library.Pool(library.Library(), device=device, host_budget=host)
    torch.cuda.set_per_process_memory_fraction(min(1.0, hbm / total), device)
    streamer = Streamer(devices.Cuda(device), pool, weights)
    _active = _Active(streamer, loading.install(streamer))


def disable() -> None:
    """Torch and transformers are as before; models that were loaded read their weights in place."""
    global _active
    if _active is not None:
        _active.patches.remove()
        torch.cuda.set_per_process_memory_fraction(1.0, _active.streamer.device.device)
        _active = None


def report() -> str:
    """What lives where, and how the ring did."""
    if _active is None:
        return "spillway.torch is not enabled"
    streamer = _active.streamer
    lines = [streamer.pool.text("pool_explain")]
    if streamer.ring is not None:
        counts = streamer.ring.counts
        lines.append(f"ring: {counts.hits} weights came ahead of use, {counts.misses} when asked "
                     f"for, {format_size(counts.bytes)} copied")
    return "\n".join(lines)
