"""The ring itself: who waits for whom."""
import threading

import pytest
import torch

from spillway.torch import devices
from spillway.torch.ring import Ring
from spillway.torch.weight import Weight


def test_more_users_than_slots_wait_or_read_at_home():
    ring = Ring(devices.Cpu(), 1, 64)
    keeper = devices.Keeper(None, lambda: None)
    one, other = (Weight(torch.full((4,), float(i)), keeper.weights) for i in range(2))
    lease = ring.fetch(one)
    assert ring.fetch(other).tensor is other.home  # this thread has the only slot
    got = []
    waits = threading.Thread(target=lambda: got.append(ring.fetch(other).tensor))
    waits.start()
    ring.release(lease)
    waits.join(10)
    assert torch.equal(got[0], other.home) and got[0] is not other.home


class Clock(devices.Cpu):
    """Marks are times: a copy has to come after the last write of what it reads."""

    def __init__(self):
        super().__init__()
        self.now = self.written = 0
        self.reader = None

    def stream(self):
        return self.reader

    def new_mark(self):
        return [0]

    def mark(self, mark):
        self.now += 1
        mark[0] = self.now

    def copy(self, target, source, after, done, sample=None):
        assert max(mark[0] for mark in after) > self.written, "the copy may overtake the write"
        self.waited = {mark[0] for mark in after}
        super().copy(target, source, after, done, sample)


def test_copies_come_after_writes_and_after_every_reader():
    device = Clock()
    ring = Ring(device, 1, 64)
    keeper = devices.Keeper(None, lambda: None)
    weight = Weight(torch.zeros(4), keeper.weights)
    ring.release(ring.fetch(weight))
    weight.home.add_(1)
    device.written = device.now
    lease = ring.fetch(weight)
    assert torch.equal(lease.tensor, weight.home)
    device.reader = "another stream"
    second = ring.fetch(weight)
    ring.release(second)
    ends = {device.now}
    device.reader = None
    ring.release(lease)
    ends.add(device.now)
    weight.home.add_(1)
    ring.fetch(weight)
    assert ends <= device.waited


def test_a_copy_that_fails_leaves_nothing_behind():
    class Failing(devices.Cpu):
        fails = True

        def copy(self, target, source, after, done, sample=None):
            if self.fails:
                raise RuntimeError("the link is down")
            super().copy(target, source, after, done, sample)

    device = Failing()
    ring = Ring(device, 1, 64)
    keeper = devices.Keeper(None, lambda: None)
    weight = Weight(torch.ones(4), keeper.weights)
    with pytest.raises(RuntimeError, match="link"):
        ring.fetch(weight)
    device.fails = False
    assert torch.equal(ring.fetch(weight).tensor, weight.home)
    assert ring.counts.misses == 2
