"""Which parameters lie where, by module: layers that repeat are one row. Slow: for reports."""
from __future__ import annotations

import gc
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import torch

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)")


@dataclass
class Row:
    """Tensors of one name but for the numbers of layers."""
    name: str
    hbm_tensors: int = 0
    hbm_bytes: int = 0
    host_tensors: int = 0
    host_bytes: int = 0
    numbers: list = field(default_factory=list)  # per tensor: of the layers it is in

    def add(self, in_host: bool, size_bytes: int) -> None:
        if in_host:
            self.host_tensors += 1
            self.host_bytes += size_bytes
        else:
            self.hbm_tensors += 1
            self.hbm_bytes += size_bytes

    def to_dict(self) -> dict:
        values = asdict(self)
        del values["numbers"]
        return {**values, "name": _with_numbers(self.name, self.numbers)}


def rows(tensors: Iterable[tuple[str, bool, int]]) -> list[dict]:
    """Of (name, whether its home is the host, bytes), in the order of their first name."""
    found: dict[str, Row] = {}
    for name, in_host, size_bytes in tensors:
        pattern = _NUMBER.sub("*", name)
        row = found.setdefault(pattern, Row(pattern))
        row.add(in_host, size_bytes)
        row.numbers.append([int(number) for number in _NUMBER.findall(name)])
    return [row.to_dict() for row in found.values()]


def _with_numbers(pattern: str, numbers: list[list[int]]) -> str:
    """'layers.*.up' and [[0], [1], [2]]: 'layers.0-2.up'."""
    parts = iter([_span(sorted(set(column))) for column in zip(*numbers)])
    return re.sub(r"\*", lambda _: next(parts), pattern)


def _span(numbers: list[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if first == last:
        return str(first)
    missing = "" if len(numbers) == last - first + 1 else f"({len(numbers)})"
    return f"{first}-{last}{missing}"


def alive_roots() -> list[torch.nn.Module]:
    """Modules that exist in this process and are no other one's part."""
    modules = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module)]
    parts = {id(part) for module in modules
             for part in list(module.__dict__.get("_modules", {}).values())}
    return [module for module in modules if id(module) not in parts]


def placed(streamer, roots: Iterable[torch.nn.Module]) -> list[tuple[str, bool, int]]:
    """(name, whether its home is the host, bytes) of the parameters on the streamer's device, each
    once. Where there are several models, names begin with the model's class."""
    seen: set[int] = set()
    by_root = []
    for root in roots:
        here = []
        for name, parameter in list(root.named_parameters()):
            if id(parameter) not in seen and streamer.is_ours(parameter.device) \
                    and streamer.device.holds(parameter):
                seen.add(id(parameter))
                here.append((name, streamer.is_home(parameter),
                             parameter.numel() * parameter.element_size()))
        if here:
            by_root.append((type(root).__name__, here))
    if len(by_root) == 1:
        return by_root[0][1]
    return [(f"{kind}: {name}", in_host, size) for kind, here in by_root
            for name, in_host, size in here]
