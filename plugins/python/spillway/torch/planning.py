"""plan(): where the weights of a model would lie, before anything is loaded, and without a GPU. It
is the streamer's own planning, on paper. Any thread."""
from __future__ import annotations

import copy
import mmap
import statistics
import time
from dataclasses import dataclass

import torch

from spillway import library
from spillway.torch import inventory, kv_planning, packing, reporting
from spillway.torch.device import PAGE_TABLE_SHARE, Device
from spillway.torch.overview import Overview
from spillway.torch.sizes import format_size
from spillway.torch.kinds import is_streamable, size_of
from spillway.torch.streamer import Streamer

PAGE_BYTES = mmap.PAGESIZE  # what the memory core rounds a home up to
_MEASURED_BYTES, _MEASURED_TIMES = 64 << 20, 9


@dataclass
class Budgets:
    """In bytes. host_bytes None: not to be checked."""
    hbm_bytes: int
    work_bytes: int
    host_bytes: int | None = None


class Paper(Device):
    """A device on which nothing lies but what is said to, and nothing takes memory. Its rules are
    those of `like`; None: of a GPU."""

    device = torch.device("meta")
    page_table_share = PAGE_TABLE_SHARE

    def __init__(self, allocated_bytes: int = 0, like: Device | None = None):
        self._allocated_bytes = allocated_bytes
        if like is not None:
            for name in ("tiers", "ring_slots", "alignment", "least_bytes", "looks_up",
                         "slot_bytes", "unpacks", "page_table_share"):
                setattr(self, name, getattr(like, name))

    def holds(self, tensor: torch.Tensor) -> bool:
        return False

    def allocated_bytes(self) -> int:
        return self._allocated_bytes

    def new_mark(self):
        return None

    def stream(self):
        return None

    def mark(self, mark) -> None:
        pass

    def synchronize(self) -> None:
        pass


def plan(model: torch.nn.Module, dtype, budgets: Budgets, live: Streamer | None,
         link: tuple[float | None, str], cache: tuple[int, int] = (0, 1)) -> Overview:
    """Of a model none of whose weights is placed yet. `live`: the streamer that runs already, whose
    memory is taken. `link`: bytes a second, and where that is from. `cache`: tokens of a KV cache,
    and sequences. BudgetError: it would not fit."""
    streamer = _on_paper(budgets.hbm_bytes - budgets.work_bytes, live)
    streamer.work_bytes = budgets.work_bytes
    others = streamer.allocated_bytes()
    in_host = streamer.plan(model, dtype, getattr(model, "all_tied_weights_keys", None))
    tensors = [(name, in_host.get(name, False), size_of(parameter, dtype))
               for name, parameter in model.named_parameters()]
    host_used = live.pool.host_use()["used_bytes"] if live else 0
    coming = _pages(tensors)
    hbm = reporting.hbm_use(streamer, tensors)
    tables = int(streamer.device.page_table_share * coming)
    hbm["used_bytes"] += hbm["weights_bytes"] + tables
    hbm["other_bytes"] = hbm["used_bytes"] - hbm["weights_bytes"] - hbm["ring_bytes"]
    host = {"used_bytes": host_used + coming, "budget_bytes": budgets.host_bytes}
    kv = _plan_kv(model, dtype, streamer, hbm, cache, link[0])
    if kv:
        hbm["kv_bytes"] = kv["hbm_bytes"] + kv["slots_bytes"]
        hbm["weights_bytes"] -= kv["yielded_bytes"]
        host["used_bytes"] += kv["host_bytes"] + kv["yielded_bytes"]
    resident = others + sum(size for _, _, size in tensors) + budgets.work_bytes
    budget = f"{streamer.device.tiers[0].lower()}_budget"
    _check_hbm(hbm, resident, budget)
    _check_host(host)
    ring = streamer.ring
    streamed = _streamed(model, in_host, streamer.device, dtype)
    packed = _packed_bytes(streamed, host) if streamer.device.unpacks and (
        live is None or live.packing is not None) else None
    weights = streamed = sum(size for size, _ in streamed)
    if kv:
        streamed += kv["streamed_bytes"] + kv["yielded_bytes"]
    return Overview("spillway.torch plan", {
        "device": _where(live), "tiers": streamer.device.tiers,
        "hbm": hbm, "host": host, "link": {"bytes_per_second": link[0], "source": link[1]},
        "ring": {"slots": ring.slots, "slot_bytes": ring.slot_bytes} if ring else None,
        "kv": kv,
        "pass": {"streamed_bytes": streamed, "count": None, "measured_seconds": None,
                 "predicted_seconds": streamed / link[0] if link[0] else None},
        "packing": None if packed is None else {"expected_bytes": packed},
        "modules": inventory.rows(tensors),
        "resident_hbm_budget_bytes": resident,
        "notes": _packing_notes(weights, packed, link[0]) + [
            f"all weights would lie in {streamer.device.tiers[0]} with "
            f"{budget}={format_size(resident)}"]})


def _plan_kv(model, dtype, streamer, hbm, cache: tuple[int, int], link) -> dict | None:
    tokens, batch = cache
    config = getattr(model, "config", None)
    if not tokens or config is None:
        return None
    dtype = dtype or next(model.parameters()).dtype
    shape = kv_planning.shape_of(config, dtype, batch)
    if shape is None or streamer.device.tiers[1] != "host":
        return None
    room = kv_planning.limit_bytes(streamer) - hbm["used_bytes"]
    return kv_planning.plan_kv(shape, tokens, max(0, room), link)


def _on_paper(hbm_bytes: int, live: Streamer | None) -> Streamer:
    if live is None:
        return Streamer(Paper(), None, hbm_bytes)
    ring = live.ring
    taken = live.allocated_bytes() - (ring.size_bytes if ring else 0)
    streamer = Streamer(Paper(taken, live.device), None, hbm_bytes)
    streamer.ring, streamer.cpu_rows = ring, live.cpu_rows
    return streamer


def _where(live: Streamer | None) -> str:
    if live is not None:
        return reporting.device_name(live.device.device)
    if torch.cuda.is_available():
        return reporting.device_name(torch.device("cuda", torch.cuda.current_device()))
    return f"no GPU here, torch {torch.__version__}"


def _pages(tensors) -> int:
    """Of the host, for those whose home is there."""
    return sum(-(-size // PAGE_BYTES) * PAGE_BYTES for _, in_host, size in tensors if in_host)


def _packed_bytes(streamed, host: dict) -> int:
    """Of what streams, over the link once packed copies are made."""
    packable = sum(size for size, dtype in streamed
                   if dtype == torch.bfloat16 and size >= packing.LEAST_BYTES)
    budget = host["budget_bytes"]
    return packing.expected_bytes(sum(size for size, _ in streamed), packable,
                                  None if budget is None else
                                  budget - host["used_bytes"] - packing.KEPT_BYTES)


def _packing_notes(streamed: int, packed: int | None, link: float | None) -> list[str]:
    if packed is None or packed == streamed:
        return []
    seconds = f", {packed / link * 1e3:.1f} ms" if link else ""
    return [f"with packed copies, as far as the host has room for them, about "
            f"{format_size(packed)} of these go over the link{seconds}"]


def _streamed(model, in_host: dict[str, bool], device, dtype) -> list[tuple[int, torch.dtype]]:
    """What one use of each linear layer copies: bytes, and of what."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    streamed = {}
    for path, module in model.named_modules():
        if is_streamable(module, device, dtype):
            name = tied.get(f"{path}.weight", names.get(id(module.weight)))
            if in_host.get(name):
                converts = dtype is not None and module.weight.is_floating_point()
                streamed[name] = (size_of(module.weight, dtype),
                                  dtype if converts else module.weight.dtype)
    return list(streamed.values())


def _check_hbm(hbm: dict, resident_bytes: int, budget: str) -> None:
    """`resident_bytes`: the budget with which nothing streams, and there is no ring."""
    needed = hbm["used_bytes"] + hbm["work_bytes"]
    if needed > hbm["budget_bytes"]:
        least = min(needed, resident_bytes)
        raise library.BudgetError(
            f"{budget} is {format_size(hbm['budget_bytes'])}, and at least {least} bytes "
            f"({format_size(least)}) are needed: {format_size(hbm['weights_bytes'])} of weights "
            f"that cannot stream, {format_size(hbm['ring_bytes'])} for the ring, "
            f"{format_size(hbm['other_bytes'])} in use already or for page tables, "
            f"{format_size(hbm['work_bytes'])} kept free for activations (work)")


def _check_host(host: dict) -> None:
    if host["budget_bytes"] is not None and host["used_bytes"] > host["budget_bytes"]:
        raise library.BudgetError(
            f"host_budget is {format_size(host['budget_bytes'])}, and what does not fit "
            f"hbm_budget (weights, KV cache) will need {host['used_bytes']} bytes "
            f"({format_size(host['used_bytes'])}): raise host_budget to that, or hbm_budget by "
            f"what is missing")


def on_meta(model_or_config, dtype=None) -> torch.nn.Module:
    """A module as it is; a configuration of transformers, or a folder or name that has one, as the
    model that it describes, without bytes. TypeError for anything else."""
    if isinstance(model_or_config, torch.nn.Module):
        return model_or_config
    import transformers  # only here: a module can be planned without it
    config = model_or_config
    if not isinstance(config, transformers.PretrainedConfig):
        if not hasattr(config, "__fspath__") and not isinstance(config, str):
            raise TypeError(f"plan() takes a module, a transformers configuration, or a folder "
                            f"with one, not {type(config).__name__}")
        config = transformers.AutoConfig.from_pretrained(config)
    config = copy.deepcopy(config)  # what is built from it writes to it
    kind = getattr(transformers, (config.architectures or [""])[0], None)
    options = {"dtype": dtype or config.dtype or torch.get_default_dtype()}
    with torch.device("meta"):
        if kind is not None:
            return kind._from_config(config, **options)
        return transformers.AutoModelForCausalLM.from_config(config, **options)


def link_rate(live: Streamer | None, given: int | None) -> tuple[float | None, str]:
    """Bytes a second from the host to HBM, and where that is from."""
    if given is not None:
        return float(given), "as it was given"
    if live is not None and (rate := reporting.link_rate(live)):
        return rate, "measured by copies ahead of use"
    if not torch.cuda.is_available():
        return None, "unknown: there is no GPU to measure; give link='55GB' (a second)"
    try:
        return _measure_link(), "measured now"
    except torch.OutOfMemoryError:
        return None, "unknown: no room to measure; give link='55GB' (a second)"


def _measure_link() -> float:
    source = torch.empty(_MEASURED_BYTES, dtype=torch.uint8, pin_memory=True)
    target = torch.empty(_MEASURED_BYTES, dtype=torch.uint8, device="cuda")
    rates = []
    for _ in range(_MEASURED_TIMES):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()
        rates.append(_MEASURED_BYTES / (time.perf_counter() - started))
    return statistics.median(rates)
