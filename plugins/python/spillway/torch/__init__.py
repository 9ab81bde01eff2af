"""PyTorch beyond GPU memory: two lines before the model is loaded, and the rest stays as it is.

    import spillway.torch
    spillway.torch.enable(hbm_budget="12GiB", host_budget="64GiB")

Weights of linear layers that have no room in HBM get their home in host memory. They stay
parameters on the GPU, whose bytes it reads over the link; layers copy them into a ring in HBM ahead
of use.
`torch.cuda.memory_allocated` counts what lies in HBM: weights whose home is the host are not in it.
"""
from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from functools import partial

import torch

from spillway import library
from spillway.row_worker import RowWorker
from spillway.torch import (cpu_rates, devices, disk, host_memory, loading, planning, redirect,
                            reporting)
from spillway.torch.cpu_attention import CpuAttention, amounts_of
from spillway.torch.cpu_rows import CpuRows
from spillway.torch.overview import Overview
from spillway.torch.packing import WAYS, Packing
from spillway.torch.patches import Patches
from spillway.torch.segments import GrowingSegments, Limit
from spillway.torch.sizes import format_size, parse_size
from spillway.torch.streamer import Streamer

__all__ = ["CacheFileError", "disable", "enable", "load_cache", "plan", "report", "save_cache"]

# Of the HBM budget: activations, KV cache and workspaces.
WORK_BYTES = 640 << 20
# One part of so many of that is what the driver takes beside torch, mostly for kernels.
DRIVER_PART = 4

_lock = threading.Lock()
_active = None


class _Active:
    def __init__(self, streamer: Streamer, patches: Patches):
        self.streamer = streamer
        self.patches = patches


def enable(hbm_budget: str | int | None = None, host_budget: str | int | None = None, *,
           device: int = 0, work: str | int | None = None,
           cpu_rows: bool | str | float = False, cpu_attention: bool | str | float = False,
           cpu_threads: int = 0,
           packing: bool | str | None = None) -> None:
    """From now on models get their homes within the budgets. Before the model is loaded.

    Sizes are bytes or texts such as '12GiB'; None: $SPILLWAY_HBM_BUDGET and $SPILLWAY_HOST_BUDGET,
    or 0.9 of what is free. hbm_budget covers weights, the ring, and what torch allocates otherwise,
    for which `work` of it (640 MiB) is kept free of weights; beyond it torch raises its
    OutOfMemoryError. host_budget covers weights and KV caches whose home is the host. cpu_rows: the
    CPU multiplies a share of the weights that stream, for a few tokens at once and without
    gradients; results are then no longer the same bit for bit. 'auto' measures rates, which takes
    a second, and settles the share at the first use; a number above 0 and below 1 is the
    share. cpu_attention: the CPU attends to a share of the tokens of KV caches that lie in the
    host, one new token at a time; values as for cpu_rows. cpu_threads: 0 is one less than there are
    cores. packing: bfloat16 weights that stream also lie packed in the host, as far as host_budget
    goes, so that 0.7 of their bytes go over the link and the same weights arrive; 'in place' and
    'staged' say how they are read there, False makes no such copies, None is $SPILLWAY_PACKING or
    True.

    Without a GPU the CPU takes its place: host_budget covers weights, ring and `work` (an eighth of
    it, 640 MiB at most), and the home of weights beyond it is the disk; hbm_budget, device,
    cpu_rows, cpu_attention and packing mean nothing. Raises ValueError for what is no size,
    RuntimeError where it is enabled already, library.Error for what the machine refuses.
    Does nothing where a spawned worker (of a DataLoader, say) imports the script once more.
    """
    if _is_imported_by_worker(sys._getframe(1)):
        return
    global _active
    hbm = _budget("hbm_budget", hbm_budget, "SPILLWAY_HBM_BUDGET")
    host = _budget("host_budget", host_budget, "SPILLWAY_HOST_BUDGET")
    kept = _budget("work", work, None)
    way = _packing_way(os.environ.get("SPILLWAY_PACKING", True) if packing is None else packing)
    with _lock:
        if _active is not None:
            raise RuntimeError("spillway.torch is enabled already; disable() it first")
        if not torch.cuda.is_available():
            _active = _without_gpu(host, kept)
            return
        streamer, most = _with_gpu(device, hbm, host, WORK_BYTES if kept is None else kept)
        streamer.cpu_rows, attention = _cpu_parts(streamer, cpu_rows, cpu_attention, cpu_threads)
        streamer.packing = _packing(streamer, way)
        _active = _Active(streamer, loading.install(streamer))
        _active.patches.handles.append(GrowingSegments())
        streamer.limit = Limit(streamer, most)
        _active.patches.handles.append(streamer.limit)
        if streamer.packing is not None:
            streamer.packing.limit = streamer.limit
        _attend(streamer, attention)


def _with_gpu(device: int, hbm: int | None, host: int | None, work: int) -> tuple[Streamer, int]:
    """And how much of the GPU's memory torch and page tables may take."""
    loaded = library.Library()
    if not 0 <= device < torch.cuda.device_count():
        raise ValueError(f"there is no GPU {device}: torch sees {torch.cuda.device_count()}")
    hbm = int(0.9 * torch.cuda.mem_get_info(device)[0]) if hbm is None else hbm
    weights = weights_bytes(hbm, work)
    # HBM is torch's own here, so the pool gets no more of it than the driver takes for itself.
    pool = library.Pool(loaded, device=device, host_budget=host)
    streamer = Streamer(devices.Cuda(device), pool, weights)
    streamer.work_bytes = work
    return streamer, hbm - work // DRIVER_PART


def _without_gpu(host: int | None, work: int | None) -> _Active:
    host = int(0.9 * host_memory.free_bytes()) if host is None else host
    work = min(WORK_BYTES, host // 8) if work is None else work
    streamer = Streamer(disk.Disk(), disk.DiskPool(), weights_bytes(host, work, "host_budget"))
    streamer.work_bytes = work
    patches = loading.install(streamer)
    redirect.install(patches)
    patches.handles.append(disk.CoreForReaders())
    return _Active(streamer, patches)


def _is_imported_by_worker(caller) -> bool:
    """multiprocessing runs the main script under this name in processes that it spawns."""
    return caller.f_globals.get("__name__") == "__mp_main__" and caller.f_code.co_name == "<module>"


def _cpu_parts(streamer: Streamer, rows: bool | str | float, attention: bool | str | float,
               threads: int) -> tuple[CpuRows | None, CpuAttention | None]:
    """With one worker. ValueError for what is neither a share nor one of the words."""
    rows, attention = _cpu_share(rows, "cpu_rows"), _cpu_share(attention, "cpu_attention")
    made = [None, None]
    if rows is None and attention is None:
        return tuple(made)
    worker = RowWorker(streamer.pool, threads)
    machine = streamer.device, streamer.pool, worker
    try:
        if rows is not None:
            rates = cpu_rates.measure(*machine)
            made[0] = CpuRows(streamer.device, worker, streamer.amounts, rows or None, rates)
        if attention is not None:
            rates = cpu_rates.measure(*machine, cpu_rates.Attend)
            made[1] = CpuAttention(streamer.device, worker, partial(amounts_of, streamer),
                                   attention or None, rates)
    except Exception:
        worker.close()
        raise
    return tuple(made)


def _attend(streamer: Streamer, attention: CpuAttention | None) -> None:
    """There are KV caches where transformers is."""
    if streamer.kv is not None:
        streamer.kv.cpu_attention = attention
    elif attention is not None and streamer.cpu_rows is None:
        attention.worker.close()


def _cpu_share(wanted: bool | str | float | None, name: str) -> float | None:
    """None: off; 0: it is to be found out."""
    if wanted is None or wanted is False or wanted == "off":
        return None
    return 0 if wanted is True or wanted == "auto" else _share(wanted, name)


def _packing_way(wanted: bool | str) -> str | None:
    """None: not at all. ValueError for what is none of the words."""
    words = {True: WAYS[0], "on": WAYS[0], "1": WAYS[0], False: None, "off": None, "0": None}
    words |= {word: way for way in WAYS for word in (way, way.replace(" ", "-"))}
    if wanted not in words:
        raise ValueError(f"packing is {wanted!r}: write on, off, in-place or staged")
    return words[wanted]


def _packing(streamer: Streamer, way: str | None) -> Packing | None:
    if way is None:
        return None
    try:
        return Packing(streamer.pool, streamer.device, way)
    except (library.Error, torch.OutOfMemoryError) as error:
        warnings.warn(f"weights go over the link as they are, not packed: {error}",
                      RuntimeWarning, stacklevel=3)
        return None


def _share(text: str | float, name: str = "cpu_rows") -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share < 1:
        raise ValueError(f"{name} is {text!r}: write 'auto', False, or a share above 0 and below 1")
    return share


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
            _close_cpu_parts(_active.streamer)
            if (packing := _active.streamer.packing) is not None:
                _active.streamer.packing = None
                packing.close()
            _active = None


def _close_cpu_parts(streamer: Streamer) -> None:
    """And their worker, the last."""
    rows, attention = streamer.cpu_rows, streamer.kv and streamer.kv.cpu_attention
    streamer.cpu_rows = None
    if attention is not None:
        streamer.kv.cpu_attention = None
        attention.close()
    if rows is not None:
        rows.close()
    elif attention is not None:
        attention.worker.close()


def plan(model_or_config, hbm_budget: str | int | None = None,
         host_budget: str | int | None = None, *, dtype: torch.dtype | None = None,
         link: str | int | None = None, work: str | int | None = None, context: int = 0,
         batch: int = 1) -> Overview:
    """Where the weights of a model would lie, and how long a pass over them takes at the least;
    and the KV cache of `batch` sequences of `context` tokens beside them.

    Loads nothing, and needs no GPU. Takes a module (none of whose weights is placed yet), a
    configuration of transformers, or the folder of a checkpoint; `dtype` is what it is to be loaded
    as. Budgets and `work` as for enable(), or those that are enabled; `link`: bytes a second from
    the host to HBM, as a size such as '55GB', else measured where there is a GPU.
    Raises library.BudgetError, with the least that would do, where it would not fit.
    """
    active = _active
    live = active.streamer if active else None
    work_bytes = _budget("work", work, None)
    hbm = _budget("hbm_budget", hbm_budget, None if live else "SPILLWAY_HBM_BUDGET")
    host = _budget("host_budget", host_budget, None if live else "SPILLWAY_HOST_BUDGET")
    rate = _budget("link", link, None)
    if work_bytes is None:
        work_bytes = live.work_bytes if live else WORK_BYTES
    if host is None and live:
        host = live.pool.host_use()["budget_bytes"]
    if hbm is None:
        hbm = live.hbm_bytes + live.work_bytes if live else _free_hbm()
    weights_bytes(hbm, work_bytes)
    model = planning.on_meta(model_or_config, dtype)
    return planning.plan(model, dtype, planning.Budgets(hbm, work_bytes, host), live,
                         planning.link_rate(live, rate), (context, batch))


def _free_hbm() -> int:
    if not torch.cuda.is_available():
        raise ValueError("give hbm_budget: there is no GPU here whose free memory could be taken")
    return int(0.9 * torch.cuda.mem_get_info()[0])


def report(*models: torch.nn.Module) -> Overview | str:
    """What lives where, of these models or of all, and how the ring did: print() it, show it in a
    notebook, or take its to_dict()."""
    active = _active
    return reporting.report(active.streamer, models or None) if active else \
        "spillway.torch is not enabled"


def __getattr__(name: str):
    """What needs transformers is there when it is asked for."""
    homes = {"CacheFileError": "kv_format", "load_cache": "kv_load", "save_cache": "kv_save"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{homes[name]}"), name)
