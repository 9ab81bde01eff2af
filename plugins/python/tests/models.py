"""Small models that several tests use."""
import copy

import torch

from spillway.torch.direct_file import PAGE

MIB = 1 << 20
WIDTH = 768  # of a layer of 2.25 MiB in float32


def network(layers=6, width=WIDTH):
    parts = []
    for _ in range(layers):
        parts += [torch.nn.Linear(width, width), torch.nn.ReLU()]
    return torch.nn.Sequential(*parts)


def resident_twin(model, device):
    """A copy that lies on the device; before anything streams."""
    return copy.deepcopy(model).to(device)


def homes(model):
    """Of each weight: whether its home is the host."""
    return [hasattr(parameter, "spillway_weight")
            for name, parameter in model.named_parameters() if name.endswith("weight")]


def home_bytes(model):
    """Of the host, in whole pages, that weights have there."""
    return sum(-(-parameter.spillway_weight.size_bytes // PAGE) * PAGE
               for parameter in model.parameters() if hasattr(parameter, "spillway_weight"))


def rounding(device):
    """Bytes that torch counts more than it was asked for, of one tensor at most: its allocator
    splits off no remainder of less."""
    return MIB if device.type == "cuda" else 0


class Mixture(torch.nn.Module):
    """Of experts: which ones are used is the caller's choice."""

    def __init__(self, experts=6):
        super().__init__()
        self.first = torch.nn.Linear(WIDTH, WIDTH)
        self.experts = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(experts))
        self.last = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x, chosen):
        x = self.first(x)
        for expert in chosen:
            x = x + self.experts[expert](x).tanh()
        return self.last(x)
