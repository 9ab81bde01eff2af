"""Keys and values of a layer in the host whose first tokens stay there: the CPU attends to them;
and of layers in HBM beside them. One thread, as torch's tensors.

Attention of one token (scaled_dot_product_attention without a mask) takes them as they are; for
whatever else somebody does with them, the missing tokens are copied first.
"""
from __future__ import annotations

import functools
import weakref

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._pytree import tree_map_only

from spillway.torch.cpu_attention import attend_in_hbm, takes_layer


class InHbm:
    """Of a layer whose tokens are all there. They have the kernel of those in the host: torch takes
    cuDNN's on some GPUs, which is prepared for each number of tokens anew, 40 ms a token (H100,
    torch 2.11)."""

    first = 0

    def __init__(self, device):
        self.attend = functools.partial(attend_in_hbm, device)


class Use:
    """Of a slot of KvRing by attention. `first`: the tokens before it may be missing in the slot;
    0: all are there."""

    def __init__(self, tiers, slot, layer, first: int):
        self.layer, self.first, self.cpu = layer, first, tiers.cpu_attention
        self._slot, self._ring, self._lock = slot, tiers.ring, tiers.lock
        slot.use = weakref.ref(self)

    def attend(self, query, keys, values, scale) -> torch.Tensor | None:
        return self.cpu.attend(query, keys, values, self, scale) if self.first else None

    def arrive(self) -> None:
        """The current stream comes after what the link brings."""
        with self._lock:
            self._ring.arrive(self._slot)

    def free(self) -> None:
        """The current stream has been given all that reads the slot, but for complete()."""
        with self._lock:
            self._ring.free(self._slot)

    def complete(self) -> None:
        """For what the current stream is given from now on, all tokens are there."""
        with self._lock:
            if self.first > 0:
                self._ring.complete(self._slot)
                self.first = 0


class Partly(torch.Tensor):
    """[batch, heads, tokens, dim]: a view of the slot, with undefined values before use.first."""

    use: Use | InHbm
    is_keys: bool

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if function in _ABOUT:
                return function(*args, **kwargs)
            if function is scaled_dot_product_attention:
                found = _attend(*args, **kwargs)
                if found is not None:
                    return found
            args, kwargs = tree_map_only(Partly, _whole, (args, kwargs))
            return function(*args, **kwargs)


# What asks for no values.
_ABOUT = {getattr(torch.Tensor, name).__get__ for name in (
    "shape", "dtype", "device", "ndim", "layout", "requires_grad", "is_cuda", "is_cpu", "is_nested",
    "is_sparse", "is_meta")} | {getattr(torch.Tensor, name) for name in (
        "size", "dim", "stride", "numel", "element_size", "is_contiguous", "is_floating_point",
        "__len__")}


def partly(keys: torch.Tensor, values: torch.Tensor, use: Use | InHbm) -> tuple[Partly, Partly]:
    keys, values = keys.as_subclass(Partly), values.as_subclass(Partly)
    keys.use, keys.is_keys = use, True
    values.use, values.is_keys = use, False
    return keys, values


def in_hbm(found: tuple, layer, tiers) -> tuple:
    """Keys and values of a layer in HBM, as they are where nothing is the CPU's: of the model, or
    of its first layers."""
    streamer, attention = tiers.streamer(), tiers.cpu_attention
    shared = streamer is not None and streamer.cpu_rows is not None and not layer.leads() \
        or attention is not None and attention.is_beside(layer)
    return partly(*found, tiers.in_hbm) if shared and takes_layer(layer) else found


def _whole(tensor: Partly) -> torch.Tensor:
    if tensor.use.first > 0:
        tensor.use.layer.group.attends_elsewhere = True
        tensor.use.complete()
    return tensor.as_subclass(torch.Tensor)


def _attend(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
            enable_gqa=False):
    """None where that is not for the CPU and the GPU together."""
    if type(query) is not torch.Tensor or type(key) is not Partly or type(value) is not Partly \
            or key.use is not value.use or not key.is_keys or value.is_keys:
        return None
    if attn_mask is not None or dropout_p or is_causal:
        return None
    if query.dim() != 4 or not enable_gqa and query.shape[1] != key.shape[1]:
        return None
    return key.use.attend(query, key, value, scale)  # results are tensors like any other here
