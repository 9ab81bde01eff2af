"""Where a KV cache of so many tokens would lie: what KvTiers does, on paper. Pure functions."""
from __future__ import annotations

from dataclasses import dataclass

from spillway.torch.kv_ring import SLOTS
from spillway.torch.kv_tensor import grown


@dataclass(frozen=True)
class KvShape:
    """Of a model's cache: layers that grow, and bytes of keys and values of a token in each, of all
    sequences of the batch. Layers with a sliding window stay in `work`."""
    layers: int
    token_bytes: int

    def layer_bytes(self, tokens: int) -> int:
        """With the memory for more."""
        return grown(tokens) * self.token_bytes


# Of `work` KV caches may take this part, half of what the driver leaves of it, and so much at most:
# who sets a larger one has large activations.
WORK_PART, WORK_BYTES = 3 / 8, 768 << 20


def limit_bytes(streamer) -> int:
    """Of HBM in use, up to which KV caches grow there."""
    return streamer.hbm_bytes + min(int(WORK_PART * streamer.work_bytes), WORK_BYTES)


def shape_of(config, dtype, batch: int) -> KvShape | None:
    """Of a configuration of transformers; None where it does not tell."""
    config = config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", None)
    hidden = getattr(config, "hidden_size", None)
    layers = getattr(config, "num_hidden_layers", None)
    latent = getattr(config, "kv_lora_rank", None)
    if not (heads and hidden and layers) or latent:
        return None
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        layers = sum(kind == "full_attention" for kind in kinds)
    elif getattr(config, "sliding_window", None) is not None:
        layers = 0
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    dim = getattr(config, "head_dim", None) or hidden // heads
    return KvShape(layers, 2 * batch * kv_heads * dim * dtype.itemsize)


def plan_kv(shape: KvShape, tokens: int, room_bytes: int, link: float | None) -> dict:
    """As report() has it. `room_bytes`: of HBM beside weights; `yielded_bytes`: that weights leave
    beside that; `tokens_in_hbm` and `tokens_without_yielding`: up to which nothing goes home, and
    no weight goes."""
    layer, slots = shape.layer_bytes(tokens), 0
    resident = shape.layers
    if shape.layers * layer > room_bytes:
        slots = SLOTS * layer
        resident = max(0, min(shape.layers - 1, (room_bytes - slots) // max(1, layer)))
    homed = shape.layers - resident
    streamed = homed * tokens * shape.token_bytes
    return {"tokens": tokens, "layers": shape.layers, "host_layers": homed,
            "hbm_bytes": resident * layer, "host_bytes": homed * layer, "slots_bytes": slots,
            "hits": None, "misses": None, "streamed_bytes": streamed,
            "predicted_seconds": streamed / link if link else None,
            "yielded_bytes": max(0, slots - room_bytes),
            "tokens_in_hbm": _most(lambda n: shape.layers * shape.layer_bytes(n), room_bytes),
            "tokens_without_yielding": _most(
                lambda n: min(SLOTS, shape.layers) * shape.layer_bytes(n), room_bytes)}


def _most(size_of, room_bytes: int) -> int | None:
    """Tokens that fit; None: however many."""
    low, high = 0, 1
    while size_of(high) <= room_bytes:
        low, high = high, 2 * high
        if high > 1 << 40:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(middle) <= room_bytes else (low, middle)
    return low
