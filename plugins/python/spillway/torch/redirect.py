"""A script that asks for CUDA where there is none gets the CPU, and is told so once. Patches of
torch, undone by remove(). Any thread."""
from __future__ import annotations

import functools
import threading
import warnings

import torch
from torch.utils._device import _device_constructors

from spillway.torch.patches import Patches

_TEXT = ("the script asks for {}, and torch sees no GPU here: spillway.torch lets it run on the "
         "CPU, with the weights beyond the host budget on disk")


# By their ids, also when they are no longer installed: nothing else may get these.
_known_to_torchscript = []


class _Redirect:
    def __init__(self):
        self._lock = threading.Lock()
        self._told = False

    def device(self, asked):
        """The CPU for a CUDA device (a number, outside of torch's own words, is none)."""
        if isinstance(asked, torch.device) and asked.type == "cuda" \
                or isinstance(asked, str) and asked.split(":")[0] == "cuda":
            with self._lock:
                told, self._told = self._told, True
            if not told:
                warnings.warn(_TEXT.format(asked), RuntimeWarning, stacklevel=4)
            return torch.device("cpu")
        return asked

    def call(self, original):
        """With whatever among the arguments is a CUDA device replaced."""
        @functools.wraps(original)
        def redirected(*args, **kwargs):
            if kwargs.get("device") is not None:
                kwargs["device"] = self.device(kwargs["device"])
            return original(*[self.device(one) for one in args], **kwargs)
        _tell_torchscript(redirected, original)
        return redirected

    def cuda(self, original):
        @functools.wraps(original)
        def cuda(this, device=None, *args, **kwargs):
            return this.to(self.device(torch.device("cuda")))
        return cuda

    def from_pretrained(self, original):
        def from_pretrained(cls, *args, **kwargs):
            where = kwargs.get("device_map")
            if isinstance(where, dict):
                kwargs["device_map"] = {name: self.device("cuda" if type(one) is int else one)
                                        for name, one in where.items()}
            elif where is not None:
                kwargs["device_map"] = self.device("cuda" if type(where) is int else where)
            return original.__func__(cls, *args, **kwargs)
        return classmethod(from_pretrained)


def _tell_torchscript(redirected, original) -> None:
    """Scripted code knows torch's own functions by identity."""
    builtins = getattr(torch.jit, "_builtins", None)
    find, register = (getattr(builtins, name, None)
                      for name in ("_find_builtin", "_register_builtin"))
    if find is not None and register is not None and (operation := find(original)) is not None:
        register(redirected, operation)
        _known_to_torchscript.append(redirected)


def install(patches: Patches) -> None:
    redirect = _Redirect()
    for owner in (torch.Tensor, torch.nn.Module):
        patches.set(owner, "cuda", redirect.cuda)
        patches.set(owner, "to", redirect.call)
    patches.set(torch.nn.Module, "to_empty", redirect.call)
    patches.set(torch, "set_default_device", redirect.call)
    constructors = {function for function in _device_constructors()
                    if getattr(torch, getattr(function, "__name__", ""), None) is function}
    for function in constructors:
        patches.set(torch, function.__name__, redirect.call)
    try:
        from transformers import modeling_utils
        from transformers.pipelines import base
    except ImportError:
        return
    patches.set(base.Pipeline, "__init__", redirect.call)
    patches.set(modeling_utils.PreTrainedModel, "from_pretrained", redirect.from_pretrained)
