"""Where torch and transformers bring weights to a device: there each gets its home. Patches of
theirs, undone by remove()."""
from __future__ import annotations

import threading

import torch

from spillway.torch import (aliases, checkpoint, exhaustion, joined, modules, parameters,
                            training)
from spillway.torch.patches import Patches
from spillway.torch.streamer import Streamer


def install(streamer: Streamer) -> Patches:
    """For the whole process, until the patches are removed."""
    patches = Patches()
    if streamer.packing is not None:
        aliases.install(streamer, patches)
    modules.install(streamer, patches)
    parameters.install(streamer, patches)
    training.install(streamer, patches)
    exhaustion.install(streamer, patches)
    try:
        from transformers import core_model_loading, modeling_utils
    except ImportError:
        return patches
    if streamer.device.tiers[1] == "host":
        from spillway.torch import kv_cache  # only here: its layers are subclasses of theirs
        streamer.kv = kv_cache.install(streamer, patches, joined.Joined(streamer, patches))
    loading = _TransformersLoading(streamer)
    patches.set(modeling_utils, "caching_allocator_warmup", lambda original: _nothing)
    if streamer.device.reader is not None and hasattr(modeling_utils, "safe_open"):
        patches.set(modeling_utils, "safe_open", checkpoint.opens(streamer.device))
    for module in (core_model_loading, modeling_utils):
        if hasattr(module, "convert_and_load_state_dict_in_model"):
            patches.set(module, "convert_and_load_state_dict_in_model", loading.load)
    patches.set(core_model_loading, "get_device", loading.get_device)
    patches.set(core_model_loading, "spawn_materialize", loading.spawn_materialize)
    patches.set(modeling_utils.PreTrainedModel, "from_pretrained",
                lambda original: _from_pretrained(streamer, original))
    return patches


def _nothing(*_args, **_kwargs):
    return None


def _from_pretrained(streamer, original):
    """Straight to the device: `pipeline(device=…)` would load all of it into the host first."""
    bound = original  # of the class that it was taken from

    def from_pretrained(cls, *args, **kwargs):
        chosen = "device_map" in kwargs or torch.get_default_device().type != "cpu"
        if not chosen:
            kwargs["device_map"] = {"": streamer.device.device}
        model = bound.__func__(cls, *args, **kwargs)
        if not chosen and hasattr(model, "hf_device_map"):
            del model.hf_device_map  # nobody asked for it, and pipelines refuse a device beside it
        return model
    return classmethod(from_pretrained)


class _TransformersLoading:
    """transformers 5 asks for the device of each weight by its name, then lets a worker thread
    materialise it, then registers the parameter."""

    def __init__(self, streamer: Streamer):
        self._streamer = streamer
        self._here = threading.local()  # the plan of the load that this thread is at, and the name

    def load(self, original):
        def convert_and_load_state_dict_in_model(model, *args, **kwargs):
            tied = getattr(model, "all_tied_weights_keys", None)
            self._here.plan = self._streamer.plan(model, tied=tied)
            try:
                with self._streamer.planned():
                    return original(model, *args, **kwargs)
            finally:
                self._here.plan = {}
        return convert_and_load_state_dict_in_model

    def get_device(self, original):
        def get_device(device_map, name, *args, **kwargs):
            self._here.name = name
            return original(device_map, name, *args, **kwargs)
        return get_device

    def spawn_materialize(self, original):
        def spawn_materialize(thread_pool, tensor, device=None, dtype=None, *args, **kwargs):
            name = getattr(self._here, "name", "")
            goes = getattr(self._here, "plan", {}).get(name, False)
            ours = device is not None and self._streamer.is_ours(torch.device(device))
            plain = isinstance(tensor, checkpoint.FileTensor) and dtype in (None, tensor.dtype)
            sharded = any(args) or any(kwargs.get(key) for key in ("sharding_op", "tensor_idx"))
            if not ours or sharded or not (goes or plain):
                return original(thread_pool, tensor, device, dtype, *args, **kwargs)

            def job():
                if plain and not goes:
                    return self._streamer.device.load_file(tensor)
                if plain:
                    return self._streamer.device.place_file(self._streamer, tensor, name)
                source = tensor[...]
                return self._streamer.place(source if dtype is None else source.to(dtype), name)
            return thread_pool.submit(job) if thread_pool is not None else job
        return spawn_materialize
