"""Where torch.nn.Module brings weights to a device, and where torch.nn.Linear uses them. Any
thread."""
from __future__ import annotations

import torch
from torch.compiler import is_compiling
from torch.nn import Embedding, Linear, Module, Parameter, functional
from torch.nn.modules import linear as torch_linear

from spillway.torch.patches import Patches


def install(streamer, patches: Patches) -> None:
    patches.set(Linear, "forward", lambda original: _forward(streamer, original))
    patches.set(Linear, "__init__", lambda original: _make_linear(streamer, original))
    patches.set(Embedding, "__init__", lambda original: _make_embedding(streamer, original))
    patches.set(Module, "to", lambda original: _to(streamer, original))
    patches.set(Module, "cuda", _cuda)
    patches.set(Module, "to_empty", lambda original: _to_empty(streamer, original))
    patches.set(Module, "_apply", lambda original: _apply(streamer, original))
    patches.set(Module, "register_parameter", lambda original: _register(streamer, original))


def _forward(streamer, original):
    order, is_torchs = streamer.order, _is_torchs(original)

    def forward(self, input):
        if is_compiling():
            return original(self, input)
        weight = self.weight
        if order.learning:
            order.note(self)
        if hasattr(weight, "spillway_weight"):
            return streamer.linear(input, weight, self.bias)
        if is_torchs:  # what it does; it would ask the module for the weight once more
            return functional.linear(input, weight, self.bias)
        return original(self, input)
    return forward


def _is_torchs(forward) -> bool:
    """Nobody else has taken its place."""
    code = getattr(forward, "__code__", None)
    return code is not None and code.co_filename == torch_linear.__file__


def _make_linear(streamer, original):
    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        streamer.making.expect(in_features * out_features, device, dtype)
        original(self, in_features, out_features, bias, device, dtype)
    return __init__


def _make_embedding(streamer, original):
    def __init__(self, num_embeddings, embedding_dim, *args, **kwargs):
        count = num_embeddings * embedding_dim
        streamer.making.expect(count, kwargs.get("device"), kwargs.get("dtype"))
        original(self, num_embeddings, embedding_dim, *args, **kwargs)
    return __init__


def _to(streamer, original):
    def to(self, *args, **kwargs):
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if device is None or not streamer.is_ours(device):
            return original(self, *args, **kwargs)
        with streamer.planned():
            streamer.place_module(self, dtype)
            result = original(self, *args, **kwargs)
        _keep(streamer, self)
        return result
    return to


def _cuda(original):
    def cuda(self, device=None):
        return self.to(torch.device("cuda", torch.cuda.current_device()) if device is None
                       else torch.device("cuda", device) if isinstance(device, int) else device)
    return cuda


def _to_empty(streamer, original):
    def to_empty(self, *, device, recurse=True):
        if recurse and device is not None and streamer.is_ours(torch.device(device)):
            for name, goes in streamer.plan(self).items():
                if goes:
                    _replace(streamer, self, self.get_parameter(name), name)
        with streamer.planned():
            result = original(self, device=device, recurse=recurse)
        _keep(streamer, self)
        return result
    return to_empty


def _replace(streamer, root, old, name) -> None:
    """Wherever it is used, by one with a home: a parameter cannot leave the meta device itself."""
    new = Parameter(streamer.empty_home(old, name), old.requires_grad)
    streamer.adopt(new)
    for module in root.modules():
        for key, parameter in module._parameters.items():
            if parameter is old:
                module._parameters[key] = new


def _keep(streamer, root) -> None:
    for parameter in root.parameters():
        if streamer.is_ours(parameter.device):
            parameter.spillway_settled = True
            streamer.device.keep(parameter)


def _apply(streamer, original):
    """Conversions (`.half()`, `.to(dtype)` …) give a weight that streams another home."""
    def _apply(self, function, *args, **kwargs):
        if hasattr(function, "keeps_homes"):
            return original(self, function, *args, **kwargs)

        def keeping(tensor):
            result = function(tensor)
            streams = isinstance(tensor, Parameter) and hasattr(tensor, "spillway_weight")
            if streams and streamer.is_ours(result.device) and not streamer.is_home(result):
                return streamer.place(result, "weight")
            return result
        keeping.keeps_homes = True
        result = original(self, keeping, *args, **kwargs)
        for parameter in self.parameters():
            if streamer.is_home(parameter):
                streamer.adopt(parameter)
        return result
    return _apply


def _register(streamer, original):
    def register_parameter(self, name, param):
        original(self, name, param)
        if type(param) is Parameter:
            streamer.making.settle(self, name, param)
    return register_parameter
