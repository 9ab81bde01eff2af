"""Weights that are made directly on the device: a home as they are registered, spread later."""
import copy
import threading

import pytest
import torch

from models import MIB, WIDTH, homes, network
from spillway.torch import placement
from spillway.torch.kinds import size_of


def runs(in_host):
    """The longest row of weights that are used one after the other without a streamed one."""
    return max(len(row) for row in "".join(".h"[goes] for goes in in_host).split("h"))


@pytest.fixture
def direct(stream, device):
    """direct(make, hbm_mib): what make() gives under streaming, and the streamer."""
    def build(make, hbm_mib):
        streamer = stream(hbm_mib * MIB)
        with device:
            return make(), streamer
    return build


def test_weights_beyond_the_budget_get_their_home_as_they_are_made(direct):
    model, streamer = direct(lambda: network(12), 20)
    in_host = homes(model)
    assert any(in_host) and not all(in_host)
    assert streamer.allocated_bytes() <= streamer.hbm_bytes


def test_homes_are_spread_after_the_first_pass(direct, device):
    model, streamer = direct(lambda: network(12), 20)
    before = homes(model)
    assert before == sorted(before, reverse=True)  # the first ones, one after the other
    x = torch.randn(2, WIDTH, device=device)
    wanted = x
    with torch.no_grad():
        for part in model:
            wanted = torch.nn.functional.linear(wanted, part.weight, part.bias) \
                if isinstance(part, torch.nn.Linear) else part(wanted)
        assert torch.equal(model(x), wanted)
        assert homes(model) == before
        assert torch.equal(model(x), wanted)
        after = homes(model)
        assert runs(after) < runs(before) and sum(after) == sum(before)
        assert streamer.allocated_bytes() <= streamer.hbm_bytes
        for _ in range(2):
            assert torch.equal(model(x), wanted)
    assert homes(model) == after and not streamer.order.learning


def test_what_others_have_views_of_does_not_move(direct, device):
    model, _ = direct(lambda: network(12), 20)
    before = homes(model)
    state = model.state_dict()
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        for _ in range(3):
            model(x)
        assert homes(model) == before
        for value in state.values():
            value.mul_(0)
        assert not model(x).any()


def test_training_goes_on_as_it_would(direct, device):
    torch.manual_seed(5)
    with device:
        resident = network(8)
    torch.manual_seed(5)
    model, _ = direct(lambda: network(8), 14)
    before = homes(model)
    assert any(before) and not all(before)
    models = [model, resident]
    optimizers = [torch.optim.AdamW(m.parameters(), 1e-3) for m in models]
    for step in range(4):
        x = torch.linspace(-1, 1, WIDTH, device=device)[None] * (step + 1)
        for one, optimizer in zip(models, optimizers):
            optimizer.zero_grad()
            one(x).square().sum().backward()
            optimizer.step()
    assert homes(model) != before
    for name, value in model.state_dict().items():
        assert torch.equal(value, resident.state_dict()[name]), name


def test_a_model_that_threads_share_stays_as_it_is(direct, device):
    model, _ = direct(lambda: network(12), 20)
    before = homes(model)
    x = torch.randn(2, WIDTH, device=device)
    wanted = model(x)
    got = []
    thread = threading.Thread(target=lambda: got.extend(model(x) for _ in range(3)))
    thread.start()
    thread.join()
    assert all(torch.equal(y, wanted) for y in got)
    model(x)
    assert homes(model) == before


def test_tied_weights_are_placed_once(direct, device):
    def make():
        model = network(12)
        model[2].weight = model[0].weight
        model[22].weight = model[20].weight
        return model

    model, streamer = direct(make, 20)
    copied = copy.deepcopy(model)
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        wanted = copied(x)
        for _ in range(3):
            assert torch.equal(model(x), wanted)
    assert model[2].weight is model[0].weight and model[22].weight is model[20].weight


def test_from_config(direct, device):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=512, intermediate_size=1536, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=256)

    def make():
        torch.manual_seed(7)
        with device:
            return transformers.AutoModelForCausalLM.from_config(config)

    resident = make()
    model, streamer = direct(make, 30)
    assert any(homes(model)) and not all(homes(model))
    ids = torch.arange(1, 9, device=device)[None]
    with torch.no_grad():
        wanted = resident(ids).logits
        for _ in range(3):
            assert torch.equal(model(ids).logits, wanted)
    by_layer = [sum(size_of(p) for p in layer.parameters() if hasattr(p, "spillway_weight"))
                for layer in model.model.layers]
    largest = max(size_of(p) for p in model.model.layers.parameters())
    assert max(by_layer) - min(by_layer) <= 2 * largest, by_layer
    assert streamer.allocated_bytes() <= streamer.hbm_bytes


@pytest.mark.parametrize("seed", range(20))
def test_spread_near(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 9, (30,), generator=generator).tolist()
    now = (torch.rand(30, generator=generator) < 0.5).tolist()
    room = int(torch.randint(0, sum(sizes), (1,), generator=generator))
    near = placement.spread_near(sizes, room, now)
    assert sum(size for size, goes in zip(sizes, near) if not goes) <= room

    def moved(wanted):
        return sum(size for size, here, there in zip(sizes, now, wanted) if here != there)
    assert moved(near) <= moved(placement.spread(sizes, room))


def test_nothing_is_spread_over_nothing():
    assert placement.spread([], -5) == [] and placement.spread_near([], 0, []) == []
