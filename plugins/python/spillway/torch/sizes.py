"""Sizes as people write them, and as they read them."""
from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str | int | None) -> int | None:
    """'12GiB', '1.5GB' or a number of bytes, in bytes; None stays None."""
    if text is None:
        return None
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"{text} is not a size; there are no negative ones")
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if not match or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size; write one like '12GiB', '1.5GB' or '800MiB'")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def format_size(size_bytes: int) -> str:
    """In the largest binary unit of which there is one."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes >= _UNITS[unit.upper()]:
            return f"{size_bytes / _UNITS[unit.upper()]:.1f} {unit}"
    return f"{size_bytes} B"
