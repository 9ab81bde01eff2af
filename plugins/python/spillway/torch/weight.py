"""A weight whose home is the host, and what is known of writes to it. Thread-compatible."""
from __future__ import annotations

import weakref

import torch

from spillway.torch.compat import address_of


def nothing():
    """A weak reference to nothing."""
    return None


class Weight:
    """`home`: the parameter's bytes as a tensor of the device over host memory.

    A parameter carries its Weight as `spillway_weight`. `sharers` are the weights over the same
    bytes: more than one where a parameter was made of another one's `.data`.
    """

    def __init__(self, home: torch.Tensor, sharers: weakref.WeakSet):
        self.home = home
        # What `.data` of the parameter is a view of. Torch counts writes through `.data` apart from
        # those to the parameter; as it is always this one, both counters are known here.
        self.alias = home.data
        # As they were asked for once: a home stays as it is.
        self.address = address_of(home)
        self.dtype, self.shape, self.stride = home.dtype, home.shape, home.stride()
        self.size_bytes = home.numel() * home.element_size()
        self.row_count = len(home)
        self.row_bytes = self.size_bytes // self.row_count
        self.copied_version = -1  # of the last copy that was started
        self.doubts = 0  # accesses that may write and that torch does not count (aliases.py)
        self.packed = None  # a packed copy (packing.py)
        self.uses_until_packing = self.patience = 1
        self.gpu_rows = None  # where the CPU computes the rows from there on (cpu_rows.py)
        self.products = {}  # the CPU's, by the lane and the shape of x
        self._sharers = sharers
        sharers.add(self)

    @property
    def version(self) -> int:
        """Counts writes."""
        return self.home._version + self.alias._version + self.doubts

    def count(self, part: bool) -> int:
        """How many rows() are."""
        return self.gpu_rows if part and self.gpu_rows is not None else self.row_count

    def rows(self, part: bool) -> torch.Tensor:
        """All of it; `part`: without the rows that the CPU computes."""
        count = self.count(part)
        return self.home if count == self.row_count else self.home[:count]

    def alone(self) -> bool:
        """Nobody else can write the bytes without being counted here."""
        return len(self._sharers) == 1

    def is_of(self, parameter: torch.Tensor) -> bool:
        """The parameter still has its bytes here."""
        return (address_of(parameter) == self.address and parameter.shape == self.shape
                and parameter.dtype is self.dtype and parameter.stride() == self.stride)


def weight_of(parameter: torch.Tensor) -> Weight | None:
    """None where the parameter has no home in the host, or has left it."""
    weight = parameter.__dict__.get("spillway_weight")
    return weight if weight is not None and weight.is_of(parameter) else None
