"""Embeddings go to the host before any layer does, are read there, and give what they gave."""
import copy
import io

import pytest
import torch

from models import MIB, WIDTH, homes, network, resident_twin, rounding

ROWS = 1000  # of a table of 2.9 MiB


class Reader(torch.nn.Module):
    """An embedding before linear layers."""

    def __init__(self, layers=4, **embedding):
        super().__init__()
        self.embedding = torch.nn.Embedding(ROWS, WIDTH, **embedding)
        self.layers = network(layers)

    def forward(self, ids):
        return self.layers(self.embedding(ids.to(self.embedding.weight.device)))


IDS = torch.tensor([[1, 5, 5, 999], [0, 3, 1, 7]])


def in_host(parameter):
    return hasattr(parameter, "spillway_weight")


def gradients(model):
    """And the result, on the CPU: they take nothing of the room that there is for weights."""
    y = model(IDS)
    y.square().sum().backward()
    found = [y.detach().cpu(), *(p.grad.to_dense().cpu() for p in model.parameters())]
    model.zero_grad()
    return found


def assert_fits(streamer):
    assert streamer.allocated_bytes() <= streamer.hbm_bytes + rounding(streamer.device.device)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


def test_the_embedding_goes_first_and_alone_where_that_is_enough(stream, device):
    model = Reader()  # 12 MiB
    resident = resident_twin(model, device)
    streamer = stream(10 * MIB)
    model.to(device)
    assert in_host(model.embedding.weight) and not any(homes(model.layers))
    assert streamer.ring is None
    same(gradients(model), gradients(resident))


def test_where_it_fits_it_stays(stream, device):
    model = Reader()
    stream(13 * MIB)
    model.to(device)
    assert not any(in_host(p) for p in model.parameters())


@pytest.mark.parametrize("embedding", [{}, {"padding_idx": 5}, {"sparse": True},
                                       {"scale_grad_by_freq": True}, {"max_norm": 1.0}], ids=str)
@pytest.mark.parametrize("frozen", [False, True])
def test_kinds_of_embeddings_learn_as_they_did(stream, embedding, frozen, device):
    model = Reader(**embedding)
    model.embedding.weight.requires_grad_(not frozen)
    resident = resident_twin(model, device)
    stream(0)
    model.to(device)
    assert in_host(model.embedding.weight) == ("max_norm" not in embedding)
    results = []
    for one in (model, resident):
        optimizer = torch.optim.SGD([p for p in one.parameters() if p.requires_grad], 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            y = one(IDS)
            y.square().mean().backward()
            for p in one.parameters():
                if p.grad is not None and p.grad.is_sparse:
                    p.grad = p.grad.coalesce()  # else a GPU adds rows in any order
            optimizer.step()
        results.append([y, *one.parameters()])
    same(*results)


def test_no_slot_is_for_an_embedding(stream, device):
    model = torch.nn.ModuleList([torch.nn.Embedding(4 * ROWS, WIDTH), torch.nn.Linear(512, 512)])
    streamer = stream(0)
    model.to(device)
    assert in_host(model[0].weight) and in_host(model[1].weight)
    assert streamer.ring.slot_bytes == MIB
    ids = IDS.to(device)
    model[0](ids)
    model[1](torch.randn(1, 512, device=device))
    copy.deepcopy(model)[0](ids)
    assert streamer.ring.slot_bytes == MIB


class Scaled(torch.nn.Embedding):
    def forward(self, ids):
        return super().forward(ids) * 2


class Doubled(torch.nn.Linear):
    pass


@pytest.mark.parametrize("other", ["subclass", "head that is no plain linear layer"])
def test_what_is_more_than_looked_up_stays(stream, other, device):
    model = torch.nn.ModuleList([torch.nn.Embedding(ROWS, WIDTH)])
    if other == "subclass":
        model[0] = Scaled(ROWS, WIDTH)
    else:
        model.append(Doubled(WIDTH, ROWS, bias=False))
        model[1].weight = model[0].weight
    stream(0)
    model.to(device)
    assert not in_host(model[0].weight)


def test_two_embeddings_share_a_home(stream, device):
    model = torch.nn.ModuleList([torch.nn.Embedding(ROWS, WIDTH) for _ in range(2)])
    model[1].weight = model[0].weight
    wanted = model[1](IDS)
    stream(0)
    model.to(device)
    assert in_host(model[0].weight) and model[1].weight is model[0].weight
    assert torch.equal(model[1](IDS.to(device)).cpu(), wanted)


def test_to_empty_conversions_copies_and_states(stream, device):
    with torch.device("meta"):
        model = Reader()
    resident = Reader().to(device)
    stream(0)
    model.to_empty(device=device)
    assert in_host(model.embedding.weight)
    model.load_state_dict(resident.state_dict())
    same(gradients(model), gradients(resident))
    twin = copy.deepcopy(model)
    assert in_host(twin.embedding.weight)
    for one in (model, resident):
        one.bfloat16()
    assert in_host(model.embedding.weight)
    with torch.no_grad():
        assert torch.equal(model(IDS), resident(IDS))
    file = io.BytesIO()
    torch.save(twin, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert not in_host(again.embedding.weight)
    same([again.embedding.weight], [twin.embedding.weight])


def made_on(device, make):
    """With the same numbers each time."""
    torch.manual_seed(3)
    with device:
        return make()


def test_made_on_the_device(stream, device):
    resident = made_on(device, lambda: Reader(8))
    streamer = stream(13 * MIB)
    model = made_on(device, lambda: Reader(8))
    assert in_host(model.embedding.weight)
    assert_fits(streamer)
    for _ in range(3):
        same(gradients(model), gradients(resident))
    assert not all(homes(model.layers))
    assert_fits(streamer)


def test_constructors_take_what_they_took(stream, device):
    stream(0)
    table = torch.randn(ROWS, WIDTH, device=device)
    positional = torch.nn.Embedding(ROWS, WIDTH, 3, None, 2.0, False, False, table, True, device)
    with device:
        named = torch.nn.Embedding(num_embeddings=ROWS, embedding_dim=WIDTH, dtype=torch.float64)
        linear = torch.nn.Linear(in_features=WIDTH, out_features=WIDTH, dtype=torch.bfloat16)
    assert positional.padding_idx == 3 and not positional.weight.requires_grad
    assert in_host(named.weight) and named.weight.dtype == torch.float64
    assert in_host(linear.weight) and linear.weight.dtype == torch.bfloat16
    skipped = torch.nn.utils.skip_init(torch.nn.Linear, WIDTH, WIDTH, device=device)
    assert in_host(skipped.weight)


@pytest.mark.parametrize("hbm_mib", [0, 4])
def test_an_embedding_made_beside_a_view_of_it_stays(stream, hbm_mib, device):
    stream(hbm_mib * MIB)
    table = torch.ones(ROWS, WIDTH, device=device)
    with device:
        model = torch.nn.ModuleList([torch.nn.Embedding.from_pretrained(table), network(3)])
    assert not in_host(model[0].weight)
    table.zero_()
    assert not model[0](IDS.to(device)).any()


class Tied(Reader):
    def __init__(self):
        super().__init__(6)
        self.head = torch.nn.Linear(WIDTH, ROWS, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(super().forward(ids))


def test_a_tied_head_made_on_the_device(stream, device):
    """Embedding first: when it leaves HBM nobody knows yet that a head will be tied to it."""
    resident = made_on(device, Tied)
    streamer = stream(12 * MIB)
    model = made_on(device, Tied)
    assert model.head.weight is model.embedding.weight
    assert_fits(streamer)
    assert not in_host(model.head.weight)  # larger than what streams, so HBM is its place
    assert any(homes(model.layers))
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(model(IDS), resident(IDS))
    assert_fits(streamer)
    assert not in_host(model.head.weight)


@pytest.mark.parametrize("way", ["planned", "made on the device"])
def test_a_large_head_stays_while_others_can_go(stream, device, way):
    def make():
        model = network(8)  # of 2.25 MiB each
        model.append(torch.nn.Linear(WIDTH, 3 * WIDTH, bias=False))
        return model

    resident = made_on(device, make)
    elsewhere = copy.deepcopy(resident).cpu()
    x = torch.randn(2, WIDTH, device=device)
    streamer = stream(18 * MIB)
    model = elsewhere.to(device) if way == "planned" else made_on(device, make)
    assert not in_host(model[-1].weight) and any(homes(model))
    assert streamer.ring.slot_bytes == WIDTH * WIDTH * 4
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(model(x), resident(x))
    assert_fits(streamer)


def test_a_head_larger_than_what_streams_finds_room_before_it_is_made(stream, monkeypatch, device):
    """Torch allocates first and tells us later: room for it has to be there by then."""
    streamer = stream(20 * MIB)
    most = []
    original = torch.nn.Linear.reset_parameters

    def reset(self):
        most.append(streamer.allocated_bytes())
        original(self)

    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", reset)
    with device:
        model = network(12)
        model.append(torch.nn.Linear(WIDTH, 4 * WIDTH, bias=False))
    assert max(most) <= streamer.hbm_bytes + rounding(device) and not in_host(model[-1].weight)
