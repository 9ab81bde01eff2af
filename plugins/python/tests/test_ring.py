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


def weights_of(*sizes):
    keeper = devices.Keeper(None, lambda: None)
    made = [Weight(torch.full((size,), i, dtype=torch.uint8), keeper.weights)
            for i, size in enumerate(sizes)]
    made[0].keeper = keeper
    return made


def use(ring, weights):
    for weight in weights:
        lease = ring.fetch(weight)
        assert torch.equal(lease.tensor, weight.home)
        ring.release(lease)


def test_small_weights_leave_room_for_more_ahead():
    ring = Ring(devices.Cpu(), 2, 4096)  # 8192 bytes
    weights = weights_of(4096, *[512] * 7, 4096, *[512] * 7)
    for _ in range(2):
        use(ring, weights)  # learns what comes next, and that the first comes after the last
    misses = ring.counts.misses
    use(ring, weights)
    assert ring.counts.misses == misses
    ring.release(ring.fetch(weights[0]))
    copied = ring.counts.bytes
    for weight in weights[1:8]:  # all of them came ahead of the second
        ring.fetch(weight)
    assert (ring.counts.misses, ring.counts.bytes) == (misses, copied)


@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_any_sizes(seed):
    """Slots never lie over one that is in use, whatever is asked for."""
    generator = torch.Generator().manual_seed(seed)

    def draw(end):
        return int(torch.randint(1, end, (1,), generator=generator))

    weights = weights_of(*(draw(3000) for _ in range(12)))
    ring = Ring(devices.Cpu(), 3, 3000)
    held = []
    for _ in range(300):
        weight = weights[draw(12)]
        lease = ring.fetch(weight)
        held.append(lease)
        for other in held:
            assert torch.equal(other.tensor, other.weight.home)
        ends = 0
        for slot in ring._slots:
            assert ends <= slot.begin < slot.end <= ring.size_bytes
            ends = slot.end
        while len(held) > draw(4):
            ring.release(held.pop(draw(len(held) + 1) - 1))
        if draw(5) == 1 and all(other.weight is not weight for other in held):
            weight.home.add_(1)
    assert ring.counts.hits and ring.counts.misses
