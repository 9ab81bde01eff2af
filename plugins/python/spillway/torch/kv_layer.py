"""A layer of a KV cache that may lie in HBM or in the host: what transformers.DynamicLayer is, to
those who use it. One thread, as that; several layers in several threads.

While gradients are recorded, and where something looks into operations (torch.compile, functional
transforms, CUDA graphs), it does what DynamicLayer does: torch.cat in HBM.
"""
from __future__ import annotations

import copy
import weakref

import torch
from transformers.cache_utils import DynamicLayer

from spillway.torch import placement
from spillway.torch.kv_tensor import KvTensor
from spillway.torch.weight import nothing


class KvGroup:
    """The layers of one cache. `tiers`: the KvTiers that has a place for them."""

    def __init__(self, tiers):
        self.tiers = tiers
        self.used = 0  # the larger, the later it was used
        self.weights_stay = False  # no more of them can yield to it
        self.by_one = False  # the last call brought one token
        self.attends_elsewhere = False  # than where the CPU could attend to a part
        self.cpu_share = None  # of cpu_attention.py
        self._layers = []  # weak

    def layers(self) -> list[KvLayer]:
        """In the model's order."""
        alive = [layer() for layer in self._layers]
        return [layer for layer in alive if layer is not None]

    def add(self, layer) -> int:
        """Which of its layers it is."""
        self._layers.append(weakref.ref(layer))
        return len(self._layers) - 1

    def leads(self, index: int) -> bool:
        """The layer with this index is one of the first ones, in which nothing is the CPU's."""
        return placement.leads(index, len(self._layers))

    def __deepcopy__(self, memo) -> KvGroup:
        return memo.setdefault(id(self), KvGroup(self.tiers))


class KvLayer(DynamicLayer):
    """`keys` and `values` are tensors [batch, heads, tokens, dim] of the device whatever the tier:
    reading them copies what lies in the host, setting them is seen by the next use."""

    def __init__(self, group: KvGroup):
        self.group = group
        self.in_host = False
        self.epoch = 0  # counts changes that are more than tokens coming or going at the end
        self.follows = nothing  # weak: the layer in the host that was used next
        self._parts = [None, None]
        self._index = group.add(self)
        super().__init__()

    def parts(self) -> list[KvTensor]:
        """Keys and values."""
        return self._parts

    @property
    def length(self) -> int:
        """In tokens."""
        return self._parts[0].length if self._parts[0] is not None else 0

    def leads(self) -> bool:
        """It is one of the first of its cache."""
        return self.group.leads(self._index)

    @property
    def used_bytes(self) -> int:
        """Of the tokens that there are."""
        return sum(part.length * part.token_bytes for part in self._parts if part is not None)

    def growth_bytes(self, tokens: int) -> int:
        """Of HBM that it takes more, with so many."""
        return sum(part.growth_bytes(tokens) for part in self._parts)

    def has_room(self, tokens: int) -> bool:
        """It is in HBM, with memory for so many."""
        keys, values = self._parts
        return keys.given is None and values.given is None and keys.has_room(tokens) \
            and values.has_room(tokens)

    @property
    def hbm_bytes(self) -> int:
        return sum(part.hbm_bytes for part in self._parts if part is not None)

    @property
    def host_bytes(self) -> int:
        return sum(part.host_bytes for part in self._parts if part is not None)

    # -- DynamicLayer's attributes

    def _set(self, which: int, value) -> None:
        self.group.tiers.release()
        part = self._parts[which]
        self.epoch += 1
        if value is None or part is None:
            self._parts[which] = None if value is None else KvTensor(self.group.tiers, value)
        else:
            part.give(value)

    def _get(self, which: int):
        part = self._parts[which]
        return None if part is None else part.tensor()

    keys = property(lambda self: self._get(0), lambda self, value: self._set(0, value))
    values = property(lambda self: self._get(1), lambda self, value: self._set(1, value))

    # -- What it does otherwise

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args,
               **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """As DynamicLayer's."""
        tiers = self.group.tiers
        if not tiers.takes(key_states) or type(value_states) is not torch.Tensor:
            return super().update(key_states, value_states, *args, **kwargs)
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if not tiers.fits(self, key_states, value_states):
            return super().update(key_states, value_states, *args, **kwargs)  # which says why not
        return tiers.update(self, key_states, value_states)

    def get_seq_length(self) -> int:
        """In tokens."""
        return self.length

    def reset(self) -> None:
        """Nothing is there any more."""
        self.keys = self.values = None
        self.in_host = self.is_initialized = False
        self.group.tiers.reset(self)

    def crop(self, tokens_to_remove: int) -> None:
        """As DynamicLayer's: so many go at the end if it is negative."""
        if tokens_to_remove > 0:  # which transformers versions take differently
            super().crop(tokens_to_remove)
            self.group.tiers.settle(self)
        elif tokens_to_remove < 0 and self.is_initialized:
            self.group.tiers.crop(self, max(0, self.length + tokens_to_remove))

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        super().reorder_cache(beam_idx)
        self.group.tiers.settle(self)

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        self.group.tiers.settle(self)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.group.tiers.settle(self)

    def offload(self) -> None:
        """To the host."""
        self.group.tiers.offload(self)

    def prefetch(self) -> None:
        """Back to HBM, where there is room for it."""
        self.group.tiers.bring_back(self)

    # -- Copies

    def __deepcopy__(self, memo) -> KvLayer:
        """In HBM where it has room, else in the host."""
        other = KvLayer(copy.deepcopy(self.group, memo))
        memo[id(self)] = other
        if self.is_initialized:
            tensors = [part.tensor() for part in self._parts]
            other.lazy_initialization(*tensors)
            other.in_host = self.in_host
            other.keys, other.values = [tensor if part.in_host else tensor.clone()
                                        for tensor, part in zip(tensors, self._parts)]
            self.group.tiers.settle(other)
        return other

    def __reduce_ex__(self, protocol):
        """What is saved knows nothing of tiers."""
        plain = DynamicLayer()
        if self.is_initialized:
            plain.lazy_initialization(self.keys, self.values)
            plain.keys, plain.values = (tensor.clone(memory_format=torch.contiguous_format)
                                        for tensor in (self.keys, self.values))
        return DynamicLayer, (), vars(plain)
