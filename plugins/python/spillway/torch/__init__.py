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
import threading

import torch

from spillway import library
from spillway.torch import devices, disk, host_memory, loading, redirect
from spillway.torch.patches import Patches
from spillway.torch.sizes import format_size, parse_size
from spillway.torch.streamer import Streamer

__all__ = ["disable", "enable", "report"]

# Of the HBM budget: activations, KV cache and workspaces.
WORK_BYTES = 640 << 20

_lock = threading.Lock()
_active = None


class _Active:
    def __init__(self, streamer: Streamer, patches: Patches):
        self.streamer = streamer
        self.patches = patches


def enable(hbm_budget: str | int | None = None, host_budget: str | int | None = None, *,
           device: int = 0, work: str | int | None = None) -> None:
    """From now on models get their homes within the budgets. Before the model is loaded.

    Sizes are bytes or texts such as '12GiB'; None: $SPILLWAY_HBM_BUDGET and $SPILLWAY_HOST_BUDGET,
    or 0.9 of what is free. hbm_budget covers weights, the ring, and what torch allocates otherwise,
    for which `work` of it (640 MiB) is kept free of weights; beyond it torch raises its
    OutOfMemoryError. host_budget covers the weights whose home is the host.

    Without a GPU the CPU takes its place: host_budget covers weights, ring and `work` (an eighth of
    it, 640 MiB at most), and the home of weights beyond it is the disk; hbm_budget means nothing.
    Raises ValueError for what is no size, RuntimeError where it is enabled already, library.Error
    for what the machine refuses.
    """
    global _active
    hbm = _budget("hbm_budget", hbm_budget, "SPILLWAY_HBM_BUDGET")
    host = _budget("host_budget", host_budget, "SPILLWAY_HOST_BUDGET")
    kept = _budget("work", work, None)
    with _lock:
        if _active is not None:
            raise RuntimeError("spillway.torch is enabled already; disable() it first")
        if torch.cuda.is_available():
            _active = _with_gpu(device, hbm, host, WORK_BYTES if kept is None else kept)
        else:
            _active = _without_gpu(host, kept)


def _with_gpu(device: int, hbm: int | None, host: int | None, work: int) -> _Active:
    loaded = library.Library()
    if not 0 <= device < torch.cuda.device_count():
        raise ValueError(f"there is no GPU {device}: torch sees {torch.cuda.device_count()}")
    free, total = torch.cuda.mem_get_info(device)
    hbm = int(0.9 * free) if hbm is None else hbm
    weights = weights_bytes(hbm, work)
    # HBM is torch's own here, so the pool gets no more of it than the driver takes for itself.
    pool = library.Pool(loaded, device=device, host_budget=host)
    streamer = Streamer(devices.Cuda(device), pool, weights)
    torch.cuda.set_per_process_memory_fraction(min(1.0, hbm / total), device)
    return _Active(streamer, loading.install(streamer))


def _without_gpu(host: int | None, work: int | None) -> _Active:
    host = int(0.9 * host_memory.free_bytes()) if host is None else host
    weights = weights_bytes(host, min(WORK_BYTES, host // 8) if work is None else work,
                            "host_budget")
    streamer = Streamer(disk.Disk(), disk.DiskPool(), weights)
    patches = loading.install(streamer)
    redirect.install(patches)
    return _Active(streamer, patches)


def _budget(name: str, value: str | int | None, variable: str | None) -> int | None:
    if value is None and variable is not None and os.environ.get(variable):
        name, value = variable, os.environ[variable]
    try:
        return parse_size(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def weights_bytes(hbm: int, work: int, name: str = "hbm_budget") -> int:
    """What of a budget weights and ring may take. ValueError where that is nothing."""
    if hbm <= work:
        raise ValueError(f"{name} is {format_size(hbm)}, of which {format_size(work)} are kept "
                         f"for activations: nothing is left for weights")
    return hbm - work


def disable() -> None:
    """Torch and transformers are as before; models that were loaded read their weights in place."""
    global _active
    with _lock:
        if _active is not None:
            _active.patches.remove()
            if _active.streamer.device.device.type == "cuda":
                torch.cuda.set_per_process_memory_fraction(1.0, _active.streamer.device.device)
            _active = None


def _first_tier(streamer: Streamer) -> str:
    return "HBM" if streamer.device.device.type == "cuda" else "host"


def report() -> str:
    """What lives where, and how the ring did."""
    active = _active
    if active is None:
        return "spillway.torch is not enabled"
    streamer = active.streamer
    lines = [streamer.pool.text("pool_explain"),
             f"{_first_tier(streamer)}: {format_size(streamer.allocated_bytes())} of tensors; "
             f"weights and ring may take {format_size(streamer.hbm_bytes)}"]
    if (ring := streamer.ring) is not None:
        counts = ring.counts
        lines.append(f"ring: {counts.hits} weights came ahead of use, {counts.misses} when asked "
                     f"for, {format_size(counts.bytes)} copied")
    return "\n".join(lines)
