"""Which weights have their home in HBM and which in the host. Pure functions of sizes."""
from __future__ import annotations

from collections.abc import Sequence


def spread(sizes: Sequence[int], hbm_bytes: int, phase: float = 0) -> list[bool]:
    """Of weights in the order of their use: True where the home is the host.

    At most hbm_bytes stay in HBM. Those of the host lie evenly among the others (error diffusion),
    so that the link is busy all the time: placed one after the other it would idle while resident
    weights are used. `phase`, below 1, is how much of the first weight is owed at the start.
    """
    total = sum(sizes)
    if not sizes or total <= hbm_bytes:
        return [False] * len(sizes)
    share = 1 - max(hbm_bytes, 0) / total  # of bytes that have to go
    in_host = []
    owed = phase * sizes[0]
    kept = 0
    for size in sizes:
        owed += size * share
        goes = owed >= size / 2 or kept + size > hbm_bytes
        in_host.append(goes)
        if goes:
            owed -= size
        else:
            kept += size
    return in_host


def spread_near(sizes: Sequence[int], hbm_bytes: int, now: Sequence[bool]) -> list[bool]:
    """As spread(), with the phase for which the fewest bytes move from where they are now."""
    def moved(in_host: list[bool]) -> int:
        return sum(size for size, here, there in zip(sizes, now, in_host) if here != there)
    return min((spread(sizes, hbm_bytes, phase / 8) for phase in range(8)), key=moved)


def largest_in_ring(sizes: Sequence[int], hbm_bytes: int, ring_bytes) -> int:
    """The largest of the weights that may stream: larger ones stay in HBM, so that the slots of the
    ring need not hold them. The choice for which the fewest bytes stream. ring_bytes(size): what
    the ring takes of HBM with slots of that size."""
    def room(largest: int) -> int:
        return hbm_bytes - ring_bytes(largest) - sum(size for size in sizes if size > largest)

    def streamed(largest: int) -> int:
        return sum(size for size in sizes if size <= largest) - room(largest)
    fitting = [size for size in sorted(set(sizes), reverse=True) if room(size) >= 0]
    return min(fitting, key=streamed, default=max(sizes))
