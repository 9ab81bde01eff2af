"""report(): what a streamer has placed, and what its ring has measured. Any thread."""
from __future__ import annotations

import json

import torch

from spillway.torch import inventory
from spillway.torch.overview import Overview
from spillway.torch.sizes import format_size


def report(streamer, roots=None) -> Overview:
    """Of the modules `roots`; None: of all that there are."""
    tensors = inventory.placed(streamer, inventory.alive_roots() if roots is None else roots)
    ring = streamer.ring
    rate = link_rate(streamer)
    return Overview("spillway.torch report", {
        "device": device_name(streamer.device.device), "tiers": streamer.device.tiers,
        "hbm": hbm_use(streamer, tensors),
        "host": host_use(streamer),
        "link": {"bytes_per_second": rate, "source": "measured by the ring's copies"
                 if rate else "no copy has been timed yet"},
        "ring": ring_numbers(ring) if ring else None,
        "pass": _pass(ring, rate),
        "modules": inventory.rows(tensors),
        "notes": _notes(streamer)})


def _notes(streamer) -> list[str]:
    rows = [streamer.cpu_rows.report()] if streamer.cpu_rows else []
    files = [streamer.pool.text("pool_explain")] if streamer.device.tiers[1] == "disk" else []
    training = sum(keeper.region.size_bytes for keeper in list(streamer.training_homes))
    states = [f"{format_size(training)} of gradients and states of optimizers lie in the "
              f"{streamer.device.tiers[1]}"] if training else []
    return rows + files + states


def device_name(device: torch.device) -> str:
    """With torch's version."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return f"{name}, torch {torch.__version__}"


def hbm_use(streamer, tensors) -> dict:
    """`tensors` as inventory.placed() gives; what is neither weight nor ring is `other`."""
    used = streamer.allocated_bytes()
    weights = sum(size for _, in_host, size in tensors if not in_host)
    ring = streamer.ring.size_bytes if streamer.ring else 0
    return {"used_bytes": used, "budget_bytes": streamer.hbm_bytes + streamer.work_bytes,
            "weights_bytes": weights, "ring_bytes": ring,
            "other_bytes": max(0, used - weights - ring), "work_bytes": streamer.work_bytes}


def host_use(streamer) -> dict:
    host = json.loads(streamer.pool.text("pool_report"))["tiers"]["host"]
    return {"used_bytes": host["bytes"], "budget_bytes": host["limit_bytes"],
            "peak_bytes": host["peak_bytes"]}


def link_rate(streamer) -> float | None:
    """Bytes a second of the ring's copies; None where none has been timed."""
    if streamer.ring is None:
        return None
    times = streamer.ring.times
    times.collect()
    return times.bytes_per_second()


def ring_numbers(ring) -> dict:
    counts, times = ring.counts, ring.times
    return {"slots": ring.slots, "slot_bytes": ring.slot_bytes,
            "hits": counts.hits, "misses": counts.misses, "in_place": counts.in_place,
            "copied_bytes": counts.bytes, "timed": times.used, "stalls": times.stalls,
            "stall_seconds": times.stall_seconds}


def _pass(ring, rate) -> dict:
    streamed = (ring.passes.streamed_bytes() if ring else 0) or 0
    known = rate is not None or streamed == 0
    return {"streamed_bytes": streamed,
            "predicted_seconds": (streamed / rate if streamed else 0.0) if known else None,
            "measured_seconds": ring.passes.seconds() if ring else None,
            "count": ring.passes.count if ring else 0}
