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
from spillway.row_worker import RowWorker
from spillway.torch import cpu_rates, devices, loading
from spillway.torch.cpu_rows import CpuRows
from spillway.torch.patches import Patches
from spillway.torch.sizes import format_size, parse_size
from spillway.torch.streamer import Streamer

__all__ = ["disable", "enable", "report"]

# Of the HBM budget: activations, KV cache and workspaces.
WORK_BYTES = 640 << 20

_NO_GPU = ("spillway.torch streams weights to a CUDA GPU, and torch sees none here: check that "
           "this torch is built for CUDA (torch.version.cuda) and that CUDA_VISIBLE_DEVICES names "
           "one. Without a GPU, `spillway run` answers from GGUF files within a host budget")

_lock = threading.Lock()
_active = None


class _Active:
    def __init__(self, streamer: Streamer, patches: Patches):
        self.streamer = streamer
        self.patches = patches


def enable(hbm_budget: str | int | None = None, host_budget: str | int | None = None, *,
           device: int = 0, work: str | int = WORK_BYTES,
           cpu_rows: bool | str | float = False, cpu_threads: int = 0) -> None:
    """From now on models get their homes within the budgets. Before the model is loaded.

    Sizes are bytes or texts such as '12GiB'; None: $SPILLWAY_HBM_BUDGET and $SPILLWAY_HOST_BUDGET,
    or 0.9 of what is free. hbm_budget covers weights, the ring, and what torch allocates otherwise,
    for which `work` of it is kept free of weights; beyond it torch raises its OutOfMemoryError.
    host_budget covers the weights whose home is the host. cpu_rows: the CPU multiplies a share of
    the rows of weights that stream, for a few tokens at once and without gradients; results are
    then no longer the same bit for bit. 'auto' measures rates, which takes half a second, and
    settles the share at the first use; a number above 0 and below 1 is the share. cpu_threads: 0 is
    one less than there are cores. Raises ValueError for what is no size,
    RuntimeError where it is enabled already, library.Error for what the machine refuses.
    """
    global _active
    hbm = _budget("hbm_budget", hbm_budget, "SPILLWAY_HBM_BUDGET")
    host = _budget("host_budget", host_budget, "SPILLWAY_HOST_BUDGET")
    work_bytes = _budget("work", work, None) or 0
    with _lock:
        if _active is not None:
            raise RuntimeError("spillway.torch is enabled already; disable() it first")
        loaded = library.Library()
        if not torch.cuda.is_available():
            raise library.Error(_NO_GPU)
        if not 0 <= device < torch.cuda.device_count():
            raise ValueError(f"there is no GPU {device}: torch sees {torch.cuda.device_count()}")
        free, total = torch.cuda.mem_get_info(device)
        hbm = int(0.9 * free) if hbm is None else hbm
        weights = weights_bytes(hbm, work_bytes)
        # HBM is torch's own here, so the pool gets no more of it than the driver takes for itself.
        pool = library.Pool(loaded, device=device, host_budget=host)
        streamer = Streamer(devices.Cuda(device), pool, weights)
        streamer.cpu_rows = _cpu_rows(streamer, cpu_rows, cpu_threads)
        torch.cuda.set_per_process_memory_fraction(min(1.0, hbm / total), device)
        _active = _Active(streamer, loading.install(streamer))


def _cpu_rows(streamer: Streamer, wanted: bool | str | float, threads: int) -> CpuRows | None:
    """ValueError for what is neither a share nor one of the words."""
    if wanted is None or wanted is False or wanted == "off":
        return None
    share = None if wanted is True or wanted == "auto" else _share(wanted)
    worker = RowWorker(streamer.pool, threads)
    try:
        rates = cpu_rates.measure(streamer.device, streamer.pool, worker)
    except Exception:
        worker.close()
        raise
    return CpuRows(streamer.device, worker, streamer.amounts, share, rates)


def _share(text: str | float) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share < 1:
        raise ValueError(f"cpu_rows is {text!r}: write 'auto', False, or a share above 0 and "
                         "below 1 of the rows")
    return share


def _budget(name: str, value: str | int | None, variable: str | None) -> int | None:
    if value is None and variable is not None and os.environ.get(variable):
        name, value = variable, os.environ[variable]
    try:
        return parse_size(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def weights_bytes(hbm: int, work: int) -> int:
    """What of an HBM budget weights and ring may take. ValueError where that is nothing."""
    if hbm <= work:
        raise ValueError(f"hbm_budget is {format_size(hbm)}, of which {format_size(work)} are kept "
                         f"for activations: nothing is left for weights")
    return hbm - work


def disable() -> None:
    """Torch and transformers are as before; models that were loaded read their weights in place."""
    global _active
    with _lock:
        if _active is not None:
            _active.patches.remove()
            if (rows := _active.streamer.cpu_rows) is not None:
                _active.streamer.cpu_rows = None
                rows.close()
            torch.cuda.set_per_process_memory_fraction(1.0, _active.streamer.device.device)
            _active = None


def report() -> str:
    """What lives where, and how the ring did."""
    active = _active
    if active is None:
        return "spillway.torch is not enabled"
    streamer = active.streamer
    lines = [streamer.pool.text("pool_explain"),
             f"HBM: {format_size(streamer.allocated_bytes())} of tensors; weights and ring may "
             f"take {format_size(streamer.hbm_bytes)}"]
    if (ring := streamer.ring) is not None:
        counts = ring.counts
        lines.append(f"ring: {counts.hits} weights came ahead of use, {counts.misses} when asked "
                     f"for, {format_size(counts.bytes)} copied")
    if streamer.cpu_rows is not None:
        lines.append(streamer.cpu_rows.report())
    return "\n".join(lines)
