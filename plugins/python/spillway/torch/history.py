"""Which weights were used, one after the other, and so which ones come next. One thread a call.

What follows is what followed when the same weights came before, as many of them as possible: a
layer that a forward pass uses is followed by the next layer, and in a checkpoint that is computed
again by its own backward pass. Which weight followed the last time, alone, would not tell.
"""
from __future__ import annotations

import weakref
from collections import deque

from spillway.torch.weight import Weight

KEPT_USES = 1 << 14  # ten steps of training with 80 layers; what is older is forgotten
_MOST_ALIKE = 128  # uses that are compared
_MOST_PLACES = 8  # that are compared


class Ahead:
    """The next uses, one after the other without a gap, as far as a ring looks ahead. It moves on
    with each use, which costs less than to look anew."""

    def __init__(self):
        self.clear()

    def clear(self, part: bool = False) -> None:
        """What was foreseen does not come, or not so."""
        self.part = part  # only the GPU's rows of weights are needed
        self.uses: deque[weakref.ref] = deque()
        self.loaded = 0  # the ring has the weights of so many of the first uses
        self.size_bytes = 0  # of all weights, each once
        self.wanted: dict[weakref.ref, list[int]] = {}  # by weight: uses, bytes

    def append(self, use: weakref.ref, size_bytes: int) -> None:
        """size_bytes: of the weight, where it was not wanted yet."""
        self.uses.append(use)
        if (wanted := self.wanted.get(use)) is not None:
            wanted[0] += 1
        else:
            self.wanted[use] = [1, size_bytes]
            self.size_bytes += size_bytes

    def pass_by(self) -> None:
        """The first use has come."""
        if not self.uses:
            return
        use = self.uses.popleft()
        wanted = self.wanted[use]
        wanted[0] -= 1
        if not wanted[0]:
            del self.wanted[use]
            self.size_bytes -= wanted[1]
        self.loaded = max(0, self.loaded - 1)


class History:
    """A use is a weak reference to the weight, and the index of that weight's use before."""

    def __init__(self):
        self.ahead = Ahead()
        self._uses: list[tuple[weakref.ref, int]] = []
        self._last: dict[weakref.ref, int] = {}  # index of a weight's last use
        self._alike = -1  # index of the use that the last one repeats; what followed it comes next

    def add(self, weight: Weight) -> None:
        """The weight is used now."""
        uses, reference = self._uses, weakref.ref(weight)
        now, expected = len(uses), self._alike + 1
        uses.append((reference, self._last.get(reference, -1)))
        self._last[reference] = now
        if self._alike >= 0 and uses[expected][0] is reference:
            self._alike = expected
            self.ahead.pass_by()
        else:
            self._alike = self._most_alike(now)
            self.ahead.clear()
        if now >= 2 * KEPT_USES:
            self._forget()

    def coming(self, index: int) -> weakref.ref | None:
        """The use `index` uses from the next one, whose weight may be gone; None: not foreseen."""
        at = self._alike + 1 + index
        return self._uses[at][0] if self._alike >= 0 and at < len(self._uses) else None

    def _most_alike(self, now: int) -> int:
        """Of the earlier uses of the same weight, the one before which most of the same came; of
        several the last. -1: there is none."""
        best, most, at = -1, 0, self._uses[now][1]
        for _ in range(_MOST_PLACES):
            if at < 0:
                break
            if (alike := self._count_alike(at, now)) > most:
                best, most = at, alike
            at = self._uses[at][1]
        return best

    def _count_alike(self, at: int, now: int) -> int:
        count = 0
        while count <= at and count < _MOST_ALIKE \
                and self._uses[at - count][0] is self._uses[now - count][0]:
            count += 1
        return count

    def _forget(self) -> None:
        """The older half."""
        gone = len(self._uses) - KEPT_USES
        self._uses = [(reference, max(-1, before - gone)) for reference, before in
                      self._uses[gone:]]
        self._last = {reference: at - gone for reference, at in self._last.items() if at >= gone}
        self._alike = max(-1, self._alike - gone)
