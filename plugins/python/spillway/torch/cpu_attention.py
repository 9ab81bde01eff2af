"""The CPU attends to the first tokens of KV layers in the host, where they lie, while the link
brings the others for the GPU: docs/decisions/cpu-attention.md. Any thread; a stream's jobs come one
by one.

Only for one new token at a time, without gradients, masks and dropout. Results differ from the
GPU's by rounding.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from spillway.row_worker import AttentionJob, RowWorker
from spillway.torch import compat
from spillway.torch.compat import address_of
from spillway.torch.cpu_lanes import Lane, Lanes
from spillway.torch.cpu_rates import LEAST_GAIN, MOST_SHARE, Rates
from spillway.torch.cpu_rows import DTYPES
from spillway.torch.kv_tensor import TOKENS_TOGETHER

LEAST_BYTES = 8 << 20  # of a layer's keys and values: handing over fewer takes longer than the link
MOST_FLOATS = 1 << 18  # of q
MOST_GROUP = 128  # query heads of a KV head
MOST_DIM = 256  # of the kernels of torch that tell the logarithm of the sum
# Of a layer: q to the host, what was found from it, and what the GPU does around it beside reading
# its weights. On an H100 (8B shape, 128k tokens) a share of 0.60 was faster than 0.55 and 0.65, and
# 150 us gave 0.58.
HANDOVER_SECONDS = 60e-6


@dataclass(frozen=True)
class Amounts:
    """What a token reads, in bytes: of HBM, of weights over the link, of keys and values in the
    host; and the layers of the cache."""
    resident: int
    weights: int
    kv: int
    layers: int


def amounts_of(streamer, group) -> Amounts:
    """Of a cache's layers (kv_layer.KvGroup)."""
    layers = group.layers()
    weights = streamer.amounts(0).link if streamer.cpu_rows is None else 0
    return Amounts(streamer.allocated_bytes(), weights,
                   sum(layer.used_bytes for layer in layers if layer.in_host), len(layers))


def share_of(rates: Rates, amounts: Amounts) -> float:
    """Of the keys and values in the host, so that the CPU and the link are done with a token
    together: the link runs ahead and is always busy, the CPU waits for each layer's q. Below 1."""
    cpu = rates.cpu[1]
    if rates.link + cpu < LEAST_GAIN * rates.link_alone or not amounts.kv:
        return 0.0
    between = amounts.resident / rates.hbm + HANDOVER_SECONDS * amounts.layers
    link = (amounts.weights + amounts.kv) / rates.link
    return min(MOST_SHARE, max(0.0, link - between) / (amounts.kv / rates.link + amounts.kv / cpu))


class _Lane(Lane):
    """With views of what attention takes and finds."""

    def __init__(self, worker: RowWorker, device):
        super().__init__(worker, device, MOST_FLOATS, 2 * MOST_FLOATS)
        self._shape, self._views = None, None

    def views(self, shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, what was found, [batch, KV heads, group, dim], and the logarithms."""
        if shape != self._shape:
            count, rows = shape.numel(), shape.numel() // shape[-1]
            with torch.inference_mode(False):
                self._views = (self.x_floats[:count].view(shape), self.y_floats[:count].view(shape),
                               self.y_floats[count:count + rows].view(shape[:-1]))
            self._shape = shape
        return self._views


class CpuAttention:
    """`share` of the tokens in the host, above 0 and below 1; None: found out from `rates` and
    `amounts(group)`, as the cache grows."""

    def __init__(self, device, worker: RowWorker, amounts, share: float | None = None,
                 rates: Rates | None = None):
        self.worker = worker
        self.rates = rates
        self.share = share
        self._device = device
        self._amounts = amounts
        self._lanes = Lanes(device, lambda: _Lane(worker, device))

    # -- Which tokens are the CPU's

    def tokens(self, layer) -> int:
        """So many of the first ones of a layer in the host, by what its cache was last used for."""
        if not takes_layer(layer):
            return 0
        keys, values = layer.parts()
        count = int(self.share_for(layer) * layer.length) // TOKENS_TOGETHER * TOKENS_TOGETHER
        return count if count * (keys.token_bytes + values.token_bytes) >= LEAST_BYTES else 0

    def is_beside(self, layer) -> bool:
        """The layer is in HBM, and the CPU has tokens of others of its cache."""
        return any(other.in_host and self.tokens(other) for other in layer.group.layers())

    def share_for(self, layer) -> float:
        """Of the cache that it is of; found out anew when the cache has grown."""
        if self.share is not None:
            return self.share
        group, epoch = layer.group, layer.length // (4 * TOKENS_TOGETHER)
        before, share = group.cpu_share or (-1, 0.0)
        if epoch not in (before, before - 1):  # layers that come later have a token less
            share = share_of(self.rates, self._amounts(group))
            group.cpu_share = epoch, share
        return share

    # -- Doing it

    def attend(self, query, keys, values, use, scale) -> torch.Tensor | None:
        """scaled_dot_product_attention(query, keys, values), nearly; None: not here. Keys and
        values before use.first are read in the host."""
        lane = None
        if _takes(query, keys) and not self._device.capturing() and not compat.observed():
            lane = self._lanes.here()
        if lane is None:
            return None
        grouped, scale = _by_group(query, keys, scale)
        first = use.first
        with lane.lock:
            q, theirs, their_log = lane.views(grouped.shape)
            q.copy_(grouped)
            self._device.start_rows(lane.channel, self._job(use.layer, first, grouped.shape, scale))
            try:
                self._device.mark_link(lane.channel, True)
                try:
                    use.arrive()
                finally:
                    self._device.mark_link(lane.channel, False)
                ours, our_log = self._device.attend(grouped, keys[:, :, first:],
                                                    values[:, :, first:], scale)
                use.free()
            finally:
                self._device.join_rows(lane.channel)
                for part in use.layer.parts():
                    part.was_read()
            found = torch.lerp(ours.float(), theirs, torch.sigmoid(their_log - our_log)[..., None])
        return found.to(query.dtype).reshape(query.shape)

    def _job(self, layer, tokens: int, shape, scale: float) -> AttentionJob:
        keys, values = layer.parts()
        stretches = [(address_of(key), address_of(value), len(key)) for key, value
                     in _together(keys.in_home(tokens), values.in_home(tokens))]
        batch, kv_heads, group, dim = shape
        return AttentionJob(stretches, (batch * kv_heads * group, batch * kv_heads, dim),
                            DTYPES[keys.dtype], scale)

    def close(self) -> None:
        """Nobody asks for anything any more. The worker is the caller's."""
        self._lanes.close()

    def report(self) -> str:
        """What the CPU did, for people."""
        done = self.worker.statistics()
        if not done.attention_jobs:
            return "CPU attention: none yet"
        rate = done.attention_bytes / done.attention_seconds / 1e9
        return (f"CPU attention: by {done.threads} threads, {done.attention_jobs} times a layer's "
                f"first tokens, {done.attention_bytes / done.attention_jobs / 2**20:.1f} MiB each; "
                f"busy {done.attention_seconds:.2f} s at {rate:.1f} GB/s, waiting for q "
                f"{done.x_seconds:.2f} s, for the link {done.link_seconds:.2f} s, without work "
                f"{done.idle_seconds:.2f} s")


def attend_in_hbm(device, query, keys, values, scale) -> torch.Tensor | None:
    """As CpuAttention.attend() where all keys and values are there: by the GPU's kernel of it."""
    if not _takes(query, keys):
        return None
    grouped, scale = _by_group(query, keys, scale)
    found, _ = device.attend(grouped, keys, values, scale)
    return found.to(query.dtype).reshape(query.shape)


def _takes(query, keys) -> bool:
    batch, heads, tokens, dim = query.shape
    kv_heads = keys.shape[1]
    return tokens == 1 and query.dtype == keys.dtype and query.numel() <= MOST_FLOATS \
        and batch == keys.shape[0] and dim == keys.shape[-1] \
        and heads % kv_heads == 0 and heads // kv_heads <= MOST_GROUP \
        and not torch.is_grad_enabled() and not torch.is_autocast_enabled(query.device.type)


def takes_layer(layer) -> bool:
    """Such keys and values can be attended to so, and what their cache was last used for."""
    keys, values = layer.parts()
    return layer.group.by_one and not layer.group.attends_elsewhere \
        and keys.shape == values.shape and keys.dtype == values.dtype and keys.dtype in DTYPES \
        and keys.shape[-1] % 8 == 0 and keys.shape[-1] <= MOST_DIM


def _by_group(query, keys, scale: float | None) -> tuple[torch.Tensor, float]:
    """q as [batch, KV heads, group, dim], and the scale that None stands for."""
    batch, heads, _, dim = query.shape
    kv_heads = keys.shape[1]
    return query.reshape(batch, kv_heads, heads // kv_heads, dim), \
        dim ** -0.5 if scale is None else scale


def _together(keys, values):
    """Blocks of both that hold the same tokens."""
    keys, values = list(keys), list(values)
    while keys and values:
        count = min(len(keys[0]), len(values[0]))
        yield keys[0][:count], values[0][:count]
        for rest in (keys, values):
            rest[0] = rest[0][count:]
            if not len(rest[0]):
                rest.pop(0)
