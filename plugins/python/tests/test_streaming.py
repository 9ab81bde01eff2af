"""Models whose weights stream give what resident ones give, bit for bit, forward and backward."""
import copy
import json

import pytest
import torch
from torch.nn import functional

from models import MIB, homes, network, resident_twin
from spillway.torch import streamer as streamer_module


@pytest.mark.parametrize("hbm_mib", [8, 10, 13])
def test_forward_is_the_same(stream, hbm_mib, device):
    model = network()
    resident = resident_twin(model, device)
    x = torch.randn(4, 768, device=device)
    with torch.no_grad():
        wanted = [resident(x * i) for i in range(3)]
        streamer = stream(hbm_mib * MIB)
        model.to(device)
        assert any(homes(model))
        for i in range(3):
            assert torch.equal(model(x * i), wanted[i])
    assert streamer.ring.counts.hits > streamer.ring.counts.misses


def test_the_ring_is_made_once(stream, monkeypatch, device):
    made = []
    original = streamer_module.Ring
    monkeypatch.setattr(streamer_module, "Ring",
                        lambda *arguments: made.append(arguments) or original(*arguments))
    model = torch.nn.Sequential(*(torch.nn.Linear(512, width) for width in (512, 768, 1024)))
    stream(0)
    model.to(device)
    assert [size for _, _, size in made] == [512 * 1024 * 4]


def test_what_fits_stays(stream, device):
    model = network()
    streamer = stream(64 * MIB)
    model.to(device)
    assert not any(homes(model)) and streamer.ring is None


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("checkpointing", [None, False, True])
def test_gradients_are_the_same(stream, frozen, checkpointing, device):
    model = network()
    if frozen:
        for part in model[1:]:
            part.requires_grad_(False)
    resident = resident_twin(model, device)
    stream(8 * MIB)
    model.to(device)
    assert any(homes(model))

    def gradients(of):
        x = torch.linspace(-1, 1, 2 * 768, device=device).view(2, 768).requires_grad_()
        for _ in range(2):  # accumulated
            if checkpointing is None:
                y = of(x)
            else:
                y = torch.utils.checkpoint.checkpoint(of, x, use_reentrant=checkpointing)
            y.square().sum().backward()
        return [x.grad] + [p.grad for p in of.parameters() if p.requires_grad]

    for got, wanted in zip(gradients(model), gradients(resident), strict=True):
        assert torch.equal(got, wanted)


def test_weights_that_change_are_read_anew(stream, device):
    model = network(2)
    stream(2 * MIB)
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(2, 768, device=device)
    for _ in range(3):
        y = model(x)
        plain = x
        for part in model:
            linear = hasattr(part, "weight")
            plain = functional.linear(plain, part.weight, part.bias) if linear else part(plain)
        assert torch.equal(y, plain)
        optimizer.zero_grad()
        y.square().mean().backward()
        optimizer.step()


def test_tied_weights(stream, device):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(1000, 512)
            self.middle = torch.nn.Linear(512, 512)
            self.head = torch.nn.Linear(512, 1000, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, ids):
            return self.head(self.middle(self.embedding(ids)))

    model = Tied()
    ids = torch.arange(10, device=device)
    wanted = resident_twin(model, device)(ids)
    stream(0)
    model.to(device)
    assert model.head.weight is model.embedding.weight
    assert torch.equal(model(ids), wanted)


def test_state_and_copies(stream, device):
    model = network(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stream(0)
    model.to(device)
    assert all(homes(model))
    for name, value in model.state_dict().items():
        assert torch.equal(value.cpu(), before[name])
    twin = copy.deepcopy(model)
    x = torch.randn(1, 768, device=device)
    assert torch.equal(twin(x), model(x))
    twin.load_state_dict({name: value * 2 for name, value in before.items()})
    assert torch.equal(model.state_dict()["0.weight"].cpu(), before["0.weight"])
    assert not torch.equal(twin(x), model(x))


def host_bytes(streamer):
    return json.loads(streamer.pool.text("pool_report"))["tiers"]["host"]["bytes"]


def test_memory_goes_back_with_the_model(stream, device):
    model = network()
    streamer = stream(8 * MIB)
    model.to(device)
    with torch.no_grad():
        model(torch.randn(1, 768, device=device))
    assert host_bytes(streamer) > 0
    del model
    assert host_bytes(streamer) == 0 and streamer.ring is None


def test_a_host_budget_that_is_too_small_says_who_holds_what(stream, device):
    model = network()
    stream(0, host_bytes=4 * MIB)
    with pytest.raises(torch.OutOfMemoryError, match="weights"):
        model.to(device)
