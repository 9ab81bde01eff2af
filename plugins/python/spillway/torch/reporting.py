"""report(): what a streamer has placed, and what its ring has measured. Any thread."""
from __future__ import annotations

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
        "host": streamer.pool.host_use(),
        "link": {"bytes_per_second": rate, "source": "measured by copies ahead of use"
                 if rate else "no copy has been timed yet"},
        "ring": ring_numbers(ring) if ring else None,
        "kv": _kv(streamer, rate),
        "pass": _pass(ring, rate),
        "packing": streamer.packing.numbers() if streamer.packing else None,
        "modules": inventory.rows(tensors),
        "notes": _notes(streamer)})


def _notes(streamer) -> list[str]:
    kv = streamer.kv
    parts = [streamer.packing, streamer.cpu_rows] + ([kv.cpu_attention, kv.joined] if kv else [])
    rows = [part.report() for part in parts if part]
    files = [streamer.pool.text("pool_explain")] if streamer.device.tiers[1] == "disk" else []
    training = sum(keeper.region.size_bytes for keeper in list(streamer.training_homes))
    states = [f"{format_size(training)} of gradients and states of optimizers lie in the "
              f"{streamer.device.tiers[1]}"] if training else []
    return [note for note in rows + files + states if note]


def device_name(device: torch.device) -> str:
    """With torch's version."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return f"{name}, torch {torch.__version__}"


def hbm_use(streamer, tensors) -> dict:
    """`tensors` as inventory.placed() gives; what is neither weight nor ring is `other`."""
    used = streamer.allocated_bytes()
    weights = sum(size for _, in_host, size in tensors if not in_host)
    ring = streamer.ring.size_bytes if streamer.ring else 0
    kv = kv_hbm_bytes(streamer)
    return {"used_bytes": used, "budget_bytes": streamer.hbm_bytes + streamer.work_bytes,
            "weights_bytes": weights, "ring_bytes": ring, "kv_bytes": kv,
            "other_bytes": max(0, used - weights - ring - kv), "work_bytes": streamer.work_bytes}


def kv_hbm_bytes(streamer) -> int:
    """Of KV caches, the slots for what is in the host included."""
    kv = streamer.kv
    slots = kv.ring.size_bytes if kv is not None and kv.ring is not None else 0
    return slots + sum(layer.hbm_bytes for layer in kv.layers()) if kv is not None else 0


def _kv(streamer, rate) -> dict | None:
    """None where there is no cache. Streamed is what a token of the cache that was used last
    fetches; the other bytes are those of all caches, the memory for more tokens included."""
    layers = streamer.kv.layers() if streamer.kv is not None else []
    if not layers:
        return None
    ring, last = streamer.kv.ring, streamer.kv.in_use()
    streamed = sum(layer.used_bytes * (1 - streamer.kv.cpu_tokens(layer) / max(1, layer.length))
                   for layer in last if layer.in_host)
    counts = ring.counts if ring is not None else None
    return {"tokens": max(layer.length for layer in last), "layers": len(last),
            "host_layers": sum(layer.in_host for layer in last),
            "hbm_bytes": sum(layer.hbm_bytes for layer in layers),
            "host_bytes": sum(layer.host_bytes for layer in layers),
            "slots_bytes": ring.size_bytes if ring is not None else 0,
            "hits": counts.hits if counts else 0, "misses": counts.misses if counts else 0,
            "streamed_bytes": int(streamed), "predicted_seconds": streamed / rate if rate else None}


def link_rate(streamer) -> float | None:
    """Bytes a second of the ring's copies; None where none has been timed."""
    kv = streamer.kv.ring if streamer.kv is not None else None
    for ring in (streamer.ring, kv):
        if ring is not None:
            ring.times.collect()
            if (rate := ring.times.bytes_per_second()) is not None:
                return rate
    return None


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
