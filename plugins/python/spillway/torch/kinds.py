"""Which weights may have their home in the host, and how they are read there. Any thread.

`device`, of devices.py, says from which size on that is worth it.
"""
from __future__ import annotations

import torch


def is_streamable(module: torch.nn.Module, device, dtype=None, weight=None) -> bool:
    """Subclasses of layers may do with their weights what they like, and those of parameters
    (quantised ones, fake ones) are more than their bytes: those stay in HBM."""
    return type(module) is torch.nn.Linear and _is_worth_a_home(module, device, dtype, weight) \
        and not is_adapter(module.weight if weight is None else weight, device)


def is_adapter(weight: torch.Tensor, device) -> bool:
    """A matrix of a low rank: there to be trained (LoRA), and small beside what it adapts."""
    return weight.dim() == 2 and min(weight.shape) <= device.adapter_rank


def is_look_up(module: torch.nn.Module, device, dtype=None, weight=None) -> bool:
    """Of an embedding's weight a few rows are read: the GPU reads them at their home. With
    max_norm it writes into them, too: that stays in HBM."""
    return device.looks_up and type(module) is torch.nn.Embedding and module.max_norm is None \
        and _is_worth_a_home(module, device, dtype, weight)


def _is_worth_a_home(module, device, dtype, weight) -> bool:
    weight = module.weight if weight is None else weight
    return type(weight) is torch.nn.Parameter and size_of(weight, dtype) >= device.least_bytes


def sort_weights(root: torch.nn.Module, coming: dict[str, torch.nn.Parameter], device, dtype,
                 tied: dict[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """Of the parameters that are coming, by name: those that stream and those that are only looked
    up, with their sizes, in the order that the module has; tied ones once, where they come first.

    What an embedding shares with another module is not only looked up: who multiplies by it would
    read all of it over the link. It streams where the other is a linear layer, else it stays."""
    names = {id(parameter): name for name, parameter in coming.items()}
    streams, looked_up, others = {}, {}, set()
    for path, module in root.named_modules():
        for key, parameter in module._parameters.items():
            name = tied.get(f"{path}.{key}", names.get(id(parameter)))
            if name not in coming:
                continue
            if key == "weight" and is_streamable(module, device, dtype):
                streams.setdefault(name, size_of(coming[name], dtype))
            elif key == "weight" and is_look_up(module, device, dtype):
                looked_up.setdefault(name, size_of(coming[name], dtype))
            else:
                others.add(name)
    only = {name: size for name, size in looked_up.items()
            if name not in streams and name not in others}
    return streams, only


def size_of(tensor: torch.Tensor, dtype=None) -> int:
    """In bytes, and of that dtype if it is a floating-point tensor."""
    converts = dtype is not None and tensor.is_floating_point()
    return tensor.numel() * (dtype.itemsize if converts else tensor.element_size())
