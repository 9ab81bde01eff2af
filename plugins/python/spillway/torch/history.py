"""Which weights were used, one after the other, and so which ones come next. One thread a call.

What follows is what followed when the same weights came before, as many of them as possible: a
layer that a forward pass uses is followed by the next layer, and in a checkpoint that is computed
again by its own backward pass. Which weight followed the last time, alone, would not tell.
"""
from __future__ import annotations

import weakref
from collections.abc import Iterator

from spillway.torch.weight import Weight

KEPT_USES = 1 << 14  # ten steps of training with 80 layers; what is older is forgotten
_MOST_ALIKE = 128  # uses that are compared
_MOST_PLACES = 8  # that are compared


class History:
    """A use is a weak reference to the weight, and the index of that weight's use before."""

    def __init__(self):
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
        else:
            self._alike = self._most_alike(now)
        if now >= 2 * KEPT_USES:
            self._forget()

    def coming(self) -> Iterator[Weight]:
        """From now on, as far as it is known; a weight as often as it is used."""
        if self._alike < 0:
            return
        uses = self._uses
        for index in range(self._alike + 1, len(uses)):
            if (weight := uses[index][0]()) is not None:
                yield weight

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
