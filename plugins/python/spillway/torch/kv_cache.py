"""Where transformers makes KV caches: those that grow are made of layers in tiers. Patches of
theirs, undone by remove(). Any thread."""
from __future__ import annotations

from spillway.torch.joined import Joined
from spillway.torch.kv_layer import KvGroup, KvLayer
from spillway.torch.kv_tiers import KvTiers
from spillway.torch.patches import Patches
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.generation import configuration_utils

NAME = "spillway"  # as cache_implementation


class _Maker:
    """Makes a cache's layers as they are needed, where their number is not known before."""

    def __init__(self, group: KvGroup):
        self._group = group

    def __call__(self) -> KvLayer:
        return KvLayer(self._group)

    def __reduce__(self):
        """What is saved knows nothing of tiers."""
        return type, (DynamicLayer(),)

    def __deepcopy__(self, memo) -> _Maker:
        return _Maker(self._group.__deepcopy__(memo))


def install(streamer, patches: Patches, joined: Joined) -> KvTiers:
    """`joined` looks for what it can do where a cache is made: a model is about to be used."""
    tiers = KvTiers(streamer, joined)
    patches.set(DynamicCache, "__init__", lambda original: _make(tiers, joined, original))
    patches.set(configuration_utils, "ALL_CACHE_IMPLEMENTATIONS",
                lambda original: (*original, NAME))
    return tiers


def _make(tiers: KvTiers, joined: Joined, original):
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        joined.look()
        tiers.keep_limit()
        if self.offloading:
            return
        group = KvGroup(tiers)
        self.layers = [_in_tiers(layer, group) for layer in self.layers]
        if self.layer_class_to_replicate is DynamicLayer:
            self.layer_class_to_replicate = _Maker(group)
    return __init__


def _in_tiers(layer, group: KvGroup):
    """Layers of other kinds (sliding windows, linear attention) are small and stay as they are."""
    if type(layer) is not DynamicLayer:
        return layer
    ours = KvLayer(group)
    if layer.is_initialized:
        ours.lazy_initialization(layer.keys, layer.values)
        ours.keys, ours.values = layer.keys, layer.values
    return ours
