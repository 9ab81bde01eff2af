"""A layer of a KV cache in tiers is what transformers' DynamicLayer is, whatever is done to it."""
import copy
import random

import pytest
import torch

from models import MIB

transformers = pytest.importorskip("transformers")
from transformers.cache_utils import DynamicCache, DynamicLayer  # noqa: E402

from spillway.torch.kv_partly import Partly  # noqa: E402


class Twins:
    """A DynamicLayer, and one in tiers that is to be the same."""

    def __init__(self, cache, device, generator):
        self.plain, self.ours = DynamicLayer(), cache.layer_class_to_replicate()
        self.device, self.generator = device, generator
        self.batch = 2

    def update(self):
        shape = (self.batch, 2, self.generator.choice((1, 1, 3, 70)), 8)
        states = [torch.randn(shape[:3] + (dim,), device=self.device) for dim in (8, 16)]
        kept, were = self.ours.keys, self.plain.keys
        for part, wanted in zip(self.ours.update(*states), self.plain.update(*states)):
            assert torch.equal(part, wanted)
        if kept is not None:
            assert torch.equal(kept, were)

    def crop(self):
        if self.plain.get_seq_length() > 3:
            self.both("crop", -self.generator.randint(0, 3))

    def reorder(self):
        self.both("reorder_cache", torch.randint(self.batch, (self.batch,)))

    def repeat(self):
        if self.batch < 5 and self.plain.get_seq_length():
            self.both("batch_repeat_interleave", 2)
            self.batch *= 2

    def select(self):
        if self.plain.get_seq_length():
            self.both("batch_select_indices", torch.tensor([self.batch - 1]))
            self.batch = 1

    def copied(self):
        self.ours, before = copy.deepcopy(self.ours), self.ours
        if before.length:
            before.keys.zero_()

    def reset(self):
        if self.generator.random() < 0.2:
            self.plain = DynamicLayer()
            self.ours.reset()

    def move(self):
        (self.ours.offload if self.generator.random() < 0.5 else self.ours.prefetch)()

    def both(self, name, *arguments):
        for layer in (self.plain, self.ours):
            getattr(layer, name)(*arguments)

    def step(self):
        getattr(self, self.generator.choice((
            "update", "update", "update", "update", "crop", "reorder", "repeat", "select", "copied",
            "reset", "move")))()
        assert self.ours.get_seq_length() == self.plain.get_seq_length()
        if self.plain.get_seq_length():
            assert torch.equal(self.ours.keys, self.plain.keys)
            assert torch.equal(self.ours.values, self.plain.values)


def steps_of_twins(kind, device, seed, then=lambda step: None):
    """Three layers of one cache, which are returned; then(step) after each of their steps."""
    generator = random.Random(seed)
    torch.manual_seed(seed)
    cache = DynamicCache()
    twins = [kind(cache, device, generator) for _ in range(3)]
    for step in range(40):
        try:
            for pair in twins:
                pair.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {step}") from error
        then(step)
    return twins


@torch.no_grad()
def test_layers_are_those_of_transformers(stream, device):
    """Whatever is done with them, in whatever order, in HBM, in the host and on the way."""
    streamer = stream(1 * MIB)

    def then(step):
        if step == 20:  # from here on there is no room in HBM at all
            streamer.hbm_bytes = 0
    for seed in range(5):
        twins = steps_of_twins(Twins, device, seed, then)
        streamer.hbm_bytes = MIB
    assert twins and streamer.kv.ring.counts.hits > 0


@torch.no_grad()
def test_what_somebody_keeps_is_not_written_over(stream, device):
    stream(0)
    layers = [DynamicCache().layer_class_to_replicate() for _ in range(4)]
    new = [torch.randn(1, 2, 5, 8, device=device) for _ in layers]
    kept = [layer.update(one, one) for layer, one in zip(layers, new)]
    assert all(layer.in_host for layer in layers)
    for layer, one in zip(layers, new):
        layer.update(one, one)
    assert all(torch.equal(part, one) for parts, one in zip(kept, new) for part in parts)


@torch.no_grad()
def test_beside_cpu_rows_the_first_layers_have_torchs_own(stream, device):
    streamer = stream(64 * MIB)
    cache = DynamicCache()
    new = torch.randn(1, 2, 1, 16, device=device)
    for _ in range(2):  # the first time it is not known how many layers there are
        kinds = [type(cache.update(new, new, index)[0]) for index in range(16)]
    assert set(kinds) == {torch.Tensor}
    streamer.cpu_rows = object()
    kinds = [type(cache.update(new, new, index)[0]) for index in range(16)]
    streamer.cpu_rows = None
    assert kinds == [torch.Tensor] * 2 + [Partly] * 14
