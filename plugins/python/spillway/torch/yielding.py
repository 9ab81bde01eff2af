"""Weights that leave HBM for a KV cache whose slots have no room there. One thread: the one that
runs the model. Slow, and rare: a cache asks once while it grows by a sixteenth."""
from __future__ import annotations

import torch

from spillway.torch import inventory, placement
from spillway.torch.kinds import is_look_up, is_streamable, size_of
from spillway.torch.order import move_out
from spillway.torch.weight import weight_of


def yield_weights(streamer, size_bytes: int) -> int:
    """Whole weights go home until so many bytes are free, or none is left that can go: embeddings
    first, then weights of linear layers, evenly among those that stay. OutOfMemoryError where host
    memory has no room for them."""
    looked_up, streams = _resident(streamer)
    goes = placement.look_ups([size_of(weight) for weight in looked_up], size_bytes)
    out = [weight for weight, gone in zip(looked_up, goes) if gone]
    missing = size_bytes - sum(size_of(weight) for weight in out)
    if missing > 0:
        sizes = [size_of(weight) for weight in streams]
        goes = placement.stream(sizes, sum(sizes) - missing, streamer.ring_growth)
        streams = [weight for weight, gone in zip(streams, goes) if gone]
        out += streams
    if not out:
        return 0
    streamer.device.synchronize()
    with torch.inference_mode(False), torch.no_grad():
        for weight in out:
            move_out(streamer, weight)
        if missing > 0 and streams:
            streamer.ring_for(max(size_of(weight) for weight in streams))
    return sum(size_of(weight) for weight in out if weight_of(weight) is not None)


def _resident(streamer) -> tuple[list, list]:
    """Weights in HBM that may leave it: those that are only looked up, and those that stream."""
    device = streamer.device
    looked_up, streams, others = {}, {}, set()
    for root in inventory.alive_roots():
        for module in root.modules():
            for name, weight in module._parameters.items():
                if weight is None or not device.holds(weight) or weight_of(weight) is not None:
                    continue
                if name == "weight" and is_streamable(module, device):
                    streams[id(weight)] = weight
                elif name == "weight" and is_look_up(module, device):
                    looked_up[id(weight)] = weight
                else:
                    others.add(id(weight))
    only = [weight for key, weight in looked_up.items() if key not in streams and key not in others]
    return only, list(streams.values())
