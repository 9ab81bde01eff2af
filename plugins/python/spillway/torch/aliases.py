"""Accesses to a weight's bytes that torch does not count as writes: tensors that count for
themselves, storages, pointers. Each makes the weight's version another one, as a write would; what
is alive of them is seen at the storage (packing.py). Any thread."""
from __future__ import annotations

import torch
from torch.utils import dlpack

from spillway.torch import compat
from spillway.torch.patches import Patches

# Of torch.Tensor. Others come to these: storage, __array__, __cuda_array_interface__ …
METHODS = ("data_ptr", "untyped_storage", "numpy", "__dlpack__", "set_")


def install(streamer, patches: Patches) -> None:
    def doubt(*tensors):
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor):
                _doubt(streamer, tensor)

    for name in METHODS:
        patches.set(torch.Tensor, name, lambda original: _method(doubt, original))
    patches.set(torch.Tensor, "data", lambda original: _data(doubt, original))
    for owner in (dlpack, torch):
        patches.set(owner, "to_dlpack", lambda original: _method(doubt, original))


def _doubt(streamer, tensor: torch.Tensor) -> None:
    if not streamer.is_ours(tensor.device):
        return
    try:
        address = compat.address_of(tensor)
        if not streamer.may_be_home(address):
            return
        base = compat.storage_of(tensor).data_ptr()
    except RuntimeError:  # tensors without memory of their own: fake, functional, sparse ones
        return
    for weight in streamer.weights_over(base):
        weight.doubts += 1


def _method(doubt, original):
    def method(*args, **kwargs):
        doubt(*args)
        return original(*args, **kwargs)
    return method


def _data(doubt, original):
    """Reading makes a tensor that counts its own writes, and so does setting, of another one."""
    def read(self):
        doubt(self)
        return original.__get__(self)

    def write(self, value):
        doubt(value)
        original.__set__(self, value)
    return property(read, write, doc=original.__doc__)
