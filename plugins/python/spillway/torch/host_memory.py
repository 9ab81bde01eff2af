"""Memory of the host: in huge pages, and how much a process may still take. Any thread."""
from __future__ import annotations

import contextlib
import mmap
from pathlib import Path

import torch

HUGE_PAGE = 2 << 20


def huge_pages(size_bytes: int) -> torch.Tensor:
    """Bytes that begin at a huge page: a disk's requests to such memory have fewer pieces
    (docs/decisions/disk-ring.md). Where the system has none, at a page all the same."""
    pages = mmap.mmap(-1, size_bytes + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    memory = torch.frombuffer(pages, dtype=torch.uint8)
    start = -memory.data_ptr() % HUGE_PAGE
    return memory[start:start + size_bytes]


def free_bytes(root: Path = Path("/")) -> int:
    """The least of what the system has available and what the process's memory groups leave."""
    meminfo = dict(line.split(":") for line in (root / "proc/meminfo").read_text().splitlines())
    free = [int(meminfo["MemAvailable"].split()[0]) << 10]
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):
            folder, limit, usage = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        elif not controllers:
            folder, limit, usage = "", "memory.max", "memory.current"
        else:
            continue
        base = root / "sys/fs/cgroup" / folder
        here = base / group.strip("/")
        for level in [here, *here.parents]:
            if (left := _left(level / limit, level / usage)) is not None:
                free.append(left)
            if level == base:
                break
    return max(0, min(free))


def _left(limit: Path, usage: Path) -> int | None:
    try:
        text = limit.read_text().strip()
        return None if text == "max" else int(text) - int(usage.read_text())
    except (OSError, ValueError):
        return None
