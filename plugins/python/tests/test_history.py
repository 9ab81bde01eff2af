"""What comes next is foreseen: the orders in which models use their weights, and what a step of
training then costs on a machine whose times are known."""
import threading

import pytest
import torch

from spillway.torch import compat, devices, history
from spillway.torch.history import History
from spillway.torch.ring import Ring
from spillway.torch.weight import Weight


def weights_of(sizes):
    keeper = devices.Keeper(None, lambda: None)
    made = [Weight(torch.empty(size, dtype=torch.uint8), keeper.weights) for size in sizes]
    made[0].keeper = keeper
    return made


def step_of_training(layers, per_layer, checkpoints):
    """Indices of weights as a forward and a backward pass use them; with checkpoints each layer is
    computed again before its backward pass."""
    order = list(range(layers * per_layer))
    for layer in reversed(range(layers)):
        here = order[layer * per_layer:(layer + 1) * per_layer]
        order += (here if checkpoints else []) + here[::-1]
    return order


def coming(seen, count):
    uses = (seen.coming(index) for index in range(count))
    return [use() for use in uses if use is not None]


ORDERS = {
    "tokens": list(range(9)),
    "training": step_of_training(4, 3, checkpoints=False),
    "checkpoints": step_of_training(4, 3, checkpoints=True),
    "encoder and decoder": [0, 1, 2] + [3, 4, 5, 6] * 3,
    "one weight twice": [0, 1, 1, 2]}


@pytest.mark.parametrize("kept", [history.KEPT_USES, 100])
@pytest.mark.parametrize("name", ORDERS)
def test_what_was_seen_is_foreseen(monkeypatch, name, kept):
    monkeypatch.setattr(history, "KEPT_USES", kept)
    order = ORDERS[name]
    weights = weights_of([1] * (max(order) + 1))
    seen = History()
    for index in order * 2:
        seen.add(weights[index])
    for at, index in enumerate(order * 20):
        seen.add(weights[index])
        after = (order * 2)[at % len(order) + 1:][:len(order) - 1]
        assert coming(seen, len(after)) == [weights[i] for i in after]


def test_weights_that_are_gone_are_not_foreseen():
    weights = weights_of([1] * 6)
    seen = History()
    for weight in weights * 2 + weights[:1]:
        seen.add(weight)
    kept = weights[::2]
    del weight, weights
    assert coming(seen, 4) == [None, kept[1], None, kept[2]]
    for weight in kept * 2 + kept[:1]:
        seen.add(weight)
    assert coming(seen, 2) == kept[1:]


def test_a_backward_pass_in_another_thread_goes_on_where_the_forward_pass_has_ended(monkeypatch):
    """As on a GPU."""
    here = threading.local()
    monkeypatch.setattr(compat, "in_backward", lambda: hasattr(here, "backward"))
    ring, weights = Ring(devices.Cpu(), 2, 1), weights_of([1] * 8)

    def use(weights):
        for weight in weights:
            ring.release(ring.fetch(weight))

    def backward():
        here.backward = True
        use(weights[::-1])

    misses = []
    for _ in range(4):
        use(weights)
        thread = threading.Thread(target=backward)
        thread.start()
        thread.join()
        misses.append(ring.counts.misses)
    assert misses[1] == misses[-1] and ring.counts.bytes < 4 * 2 * len(weights)
    assert ring.passes.count == 3


class Machine(devices.Cpu):
    """Computes and copies side by side, and knows how long that takes."""

    alignment = 1

    def __init__(self):
        super().__init__()
        self.now = self.link = 0  # times, where the link takes 1 a byte

    def new_mark(self):
        return [0]

    def mark(self, mark):
        mark[0] = self.now

    def wait(self, mark):
        self.now = max(self.now, mark[0])

    def copy(self, target, source, after, done, sample=None):
        self.link = max([self.link, *(mark[0] for mark in after)]) + source.numel()
        done[0] = self.link


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("sizes", [
    (52, 10, 10, 52, 138, 138, 138),  # in MB, of a layer of 13B: more than the ring has room for
    (138, 52), (138, 138), (10, 52)])
def test_a_step_of_training_costs_each_weight_two_copies(sizes, checkpoints):
    """One for the forward pass, one for computing again and the backward pass together."""
    layers = 20
    machine, weights = Machine(), weights_of(sizes * layers)
    ring = Ring(machine, 3, 138)
    order = step_of_training(layers, len(sizes), checkpoints)
    for _ in range(4):
        started, copied = machine.now, ring.counts.bytes
        for index in order:
            lease = ring.fetch(weights[index])
            machine.now += weights[index].size_bytes // 5  # the link is what takes long
            ring.release(lease)
    most = 2 * layers * sum(sizes) * (1 if sum(sizes) < ring.size_bytes else 1.2)
    assert ring.counts.bytes - copied <= most
    assert machine.now - started <= most
