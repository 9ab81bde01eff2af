"""Embeddings go to the host before any layer does, are read there, and give what they gave."""
import copy
import io

import pytest
import torch

from models import MIB, WIDTH, homes, network

ROWS = 1000  # of a table of 2.9 MiB


class Reader(torch.nn.Module):
    """An embedding before linear layers."""

    def __init__(self, layers=4, **embedding):
        super().__init__()
        self.embedding = torch.nn.Embedding(ROWS, WIDTH, **embedding)
        self.layers = network(layers)

    def forward(self, ids):
        return self.layers(self.embedding(ids))


IDS = torch.tensor([[1, 5, 5, 999], [0, 3, 1, 7]])


def in_host(parameter):
    return hasattr(parameter, "spillway_weight")


def gradients(model):
    model.zero_grad()
    y = model(IDS)
    y.square().sum().backward()
    return [y, *(p.grad.to_dense() for p in model.parameters())]


def same(one, other):
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


def test_the_embedding_goes_first_and_alone_where_that_is_enough(stream):
    model = Reader()  # 12 MiB
    resident = copy.deepcopy(model)
    streamer = stream(10 * MIB)
    model.to("cpu")
    assert in_host(model.embedding.weight) and not any(homes(model.layers))
    assert streamer.ring is None
    same(gradients(model), gradients(resident))


def test_where_it_fits_it_stays(stream):
    model = Reader()
    stream(13 * MIB)
    model.to("cpu")
    assert not any(in_host(p) for p in model.parameters())


@pytest.mark.parametrize("embedding", [{}, {"padding_idx": 5}, {"sparse": True},
                                       {"scale_grad_by_freq": True}, {"max_norm": 1.0}], ids=str)
@pytest.mark.parametrize("frozen", [False, True])
def test_kinds_of_embeddings_learn_as_they_did(stream, embedding, frozen):
    model = Reader(**embedding)
    model.embedding.weight.requires_grad_(not frozen)
    resident = copy.deepcopy(model)
    stream(0)
    model.to("cpu")
    assert in_host(model.embedding.weight) == ("max_norm" not in embedding)
    results = []
    for one in (model, resident):
        optimizer = torch.optim.SGD([p for p in one.parameters() if p.requires_grad], 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            y = one(IDS)
            y.square().mean().backward()
            optimizer.step()
        results.append([y, *one.parameters()])
    same(*results)


def test_no_slot_is_for_an_embedding(stream):
    model = torch.nn.ModuleList([torch.nn.Embedding(4 * ROWS, WIDTH), torch.nn.Linear(512, 512)])
    streamer = stream(0)
    model.to("cpu")
    assert in_host(model[0].weight) and in_host(model[1].weight)
    assert streamer.ring.slot_bytes == MIB
    model[0](IDS)
    model[1](torch.randn(1, 512))
    copy.deepcopy(model)[0](IDS)
    assert streamer.ring.slot_bytes == MIB


class Scaled(torch.nn.Embedding):
    def forward(self, ids):
        return super().forward(ids) * 2


class Doubled(torch.nn.Linear):
    pass


@pytest.mark.parametrize("other", ["subclass", "head that is no plain linear layer"])
def test_what_is_more_than_looked_up_stays(stream, other):
    model = torch.nn.ModuleList([torch.nn.Embedding(ROWS, WIDTH)])
    if other == "subclass":
        model[0] = Scaled(ROWS, WIDTH)
    else:
        model.append(Doubled(WIDTH, ROWS, bias=False))
        model[1].weight = model[0].weight
    stream(0)
    model.to("cpu")
    assert not in_host(model[0].weight)


def test_two_embeddings_share_a_home(stream):
    model = torch.nn.ModuleList([torch.nn.Embedding(ROWS, WIDTH) for _ in range(2)])
    model[1].weight = model[0].weight
    wanted = model[1](IDS)
    stream(0)
    model.to("cpu")
    assert in_host(model[0].weight) and model[1].weight is model[0].weight
    assert torch.equal(model[1](IDS), wanted)


def test_to_empty_conversions_copies_and_states(stream):
    with torch.device("meta"):
        model = Reader()
    resident = Reader()
    stream(0)
    model.to_empty(device="cpu")
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


def test_made_on_the_device(stream):
    torch.manual_seed(3)
    resident = Reader(8)
    streamer = stream(13 * MIB)
    torch.manual_seed(3)
    model = Reader(8)
    assert in_host(model.embedding.weight)
    assert streamer.allocated_bytes() <= 13 * MIB
    for _ in range(3):
        same(gradients(model), gradients(resident))
    assert not all(homes(model.layers))
    assert streamer.allocated_bytes() - 21 * MIB < 13 * MIB  # with gradients


def test_constructors_take_what_they_took(stream):
    stream(0)
    table = torch.randn(ROWS, WIDTH)
    positional = torch.nn.Embedding(ROWS, WIDTH, 3, None, 2.0, False, False, table, True, "cpu")
    named = torch.nn.Embedding(num_embeddings=ROWS, embedding_dim=WIDTH, dtype=torch.float64)
    linear = torch.nn.Linear(in_features=WIDTH, out_features=WIDTH, dtype=torch.bfloat16)
    assert positional.padding_idx == 3 and not positional.weight.requires_grad
    assert in_host(named.weight) and named.weight.dtype == torch.float64
    assert in_host(linear.weight) and linear.weight.dtype == torch.bfloat16
    skipped = torch.nn.utils.skip_init(torch.nn.Linear, WIDTH, WIDTH)
    assert in_host(skipped.weight)


@pytest.mark.parametrize("hbm_mib", [0, 4])
def test_an_embedding_made_beside_a_view_of_it_stays(stream, hbm_mib):
    table = torch.randn(ROWS, WIDTH)
    stream(hbm_mib * MIB)
    model = torch.nn.ModuleList([torch.nn.Embedding.from_pretrained(table), network(3)])
    assert not in_host(model[0].weight)
    table.zero_()
    assert not model[0](IDS).any()


class Tied(Reader):
    def __init__(self):
        super().__init__(6)
        self.head = torch.nn.Linear(WIDTH, ROWS, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(super().forward(ids))


def test_a_tied_head_made_on_the_device(stream):
    """Embedding first: when it leaves HBM nobody knows yet that a head will be tied to it."""
    torch.manual_seed(3)
    resident = Tied()
    streamer = stream(12 * MIB)
    torch.manual_seed(3)
    model = Tied()
    assert model.head.weight is model.embedding.weight
    assert streamer.allocated_bytes() <= 12 * MIB
    assert not in_host(model.head.weight)  # larger than what streams, so HBM is its place
    assert any(homes(model.layers))
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(model(IDS), resident(IDS))
    assert streamer.allocated_bytes() <= 12 * MIB and not in_host(model.head.weight)


def test_a_large_head_stays_while_others_can_go(stream):
    def make():
        torch.manual_seed(3)
        model = network(8)  # of 2.25 MiB each
        model.append(torch.nn.Linear(WIDTH, 3 * WIDTH, bias=False))
        return model

    resident = make()
    x = torch.randn(2, WIDTH)
    for way in ("planned", "made on the device"):
        streamer = stream(18 * MIB)
        model = copy.deepcopy(resident).to("cpu") if way == "planned" else make()
        assert not in_host(model[-1].weight) and any(homes(model)), way
        assert streamer.ring.slot_bytes == WIDTH * WIDTH * 4
        with torch.no_grad():
            for _ in range(3):
                assert torch.equal(model(x), resident(x))
        assert streamer.allocated_bytes() <= 18 * MIB
        del model


def test_a_head_larger_than_what_streams_finds_room_before_it_is_made(stream, monkeypatch):
    """Torch allocates first and tells us later: room for it has to be there by then."""
    streamer = stream(20 * MIB)
    most = []
    original = torch.nn.Linear.reset_parameters

    def reset(self):
        most.append(streamer.allocated_bytes())
        original(self)

    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", reset)
    model = network(12)
    model.append(torch.nn.Linear(WIDTH, 4 * WIDTH, bias=False))
    assert max(most) <= 20 * MIB and not in_host(model[-1].weight)
