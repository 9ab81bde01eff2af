"""Gradients and the state of optimizers that lie in the host: the same as in HBM, whoever uses them
and however."""
import copy
import io
import json

import pytest
import torch

from models import MIB, WIDTH, network, resident_twin
from spillway.torch import reporting
from spillway.torch.sizes import format_size


class Pair:
    """Of models that are equal. HBM has room for the weights of the first, and for nothing else;
    the second has all the room that it wants."""

    def __init__(self, streamer, ours, resident):
        self.streamer, self.ours, self.resident = streamer, ours, resident
        self.models = ours, resident

    def optimizers(self, kind, **options):
        room, made = self.streamer.hbm_bytes, [kind(self.ours.parameters(), **options)]
        self.streamer.hbm_bytes = 1 << 40
        made.append(kind(self.resident.parameters(), **options))
        self.streamer.hbm_bytes = room
        return made

    def assert_equal(self):
        for one, other in zip(*(model.parameters() for model in self.models), strict=True):
            assert torch.equal(one, other)

    def host_bytes(self):
        return json.loads(self.streamer.pool.text("pool_report"))["tiers"]["host"]["bytes"]


@pytest.fixture
def pair(stream, device):
    model = network(3)
    resident = resident_twin(model, device)
    size = sum(p.numel() * 4 for p in model.parameters())
    streamer = stream(size if device.type == "cpu" else size + MIB // 2)
    return Pair(streamer, model.to(device), resident)


def backward(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, WIDTH, generator=generator).to(model[0].weight.device)
    model(x).square().mean().backward()


def steps(model, optimizer, count=2, accumulated=1, none=True, clip=None):
    for step in range(count):
        for part in range(accumulated):
            backward(model, 10 * step + part)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=none)


def in_host(model):
    return [p for p in model.parameters() if "spillway_gradient" in p.__dict__]


KINDS = {
    "AdamW": (torch.optim.AdamW, dict(fused=True)),
    "amsgrad": (torch.optim.Adam, dict(fused=True, amsgrad=True)),
    "not fused": (torch.optim.AdamW, dict(foreach=False)),
    "SGD": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "RMSprop": (torch.optim.RMSprop, dict(lr=1e-3))}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("use", [dict(), dict(accumulated=2, none=False, clip=0.01)])
def test_steps_are_the_same(pair, name, use):
    kind, options = KINDS[name]
    both = pair.optimizers(kind, **options)
    for model, optimizer in zip(pair.models, both):
        steps(model, optimizer, **use)
    pair.assert_equal()
    assert len(in_host(pair.ours)) == 3 and not in_host(pair.resident)


def test_an_optimizer_for_which_nothing_was_chosen_is_fused(pair):
    ours, theirs = pair.optimizers(torch.optim.AdamW)
    for model, optimizer in zip(pair.models, (ours, theirs)):
        steps(model, optimizer)
    assert ours.param_groups[0]["fused"] and not theirs.param_groups[0]["fused"]
    for one, other in zip(*(model.parameters() for model in pair.models), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_fits_stays_in_hbm(pair):
    pair.streamer.hbm_bytes += 3 * pair.ours[0].weight.numel() * 4
    torch.optim.AdamW(pair.ours.parameters())
    first, second, third = (part.weight for part in pair.ours[::2])
    assert first not in set(in_host(pair.ours)) and set(in_host(pair.ours)) == {second, third}


def test_gradients_that_are_kept_are_not_written_again(pair):
    model = pair.ours
    pair.optimizers(torch.optim.AdamW)
    backward(model, 1)
    kept = [p.grad for p in in_host(model)]
    before = [gradient.clone() for gradient in kept]
    views = [gradient[1:] for gradient in kept]
    del kept
    model.zero_grad()
    backward(model, 2)
    for view, gradient, parameter in zip(views, before, in_host(model), strict=True):
        assert torch.equal(view, gradient[1:]) and not torch.equal(parameter.grad, gradient)


def test_homes_of_gradients_are_used_again(pair):
    model = pair.ours
    pair.optimizers(torch.optim.AdamW)
    addresses = set()
    for seed in range(3):
        backward(model, seed)
        addresses.add(tuple(p.grad.data_ptr() for p in in_host(model)))
        model.zero_grad()
    assert len(addresses) == 1


def test_states_go_to_torch_and_come_back(pair):
    ours, theirs = pair.optimizers(torch.optim.AdamW, fused=True)
    for model, optimizer in zip(pair.models, (ours, theirs)):
        steps(model, optimizer, 2)
    saved = io.BytesIO()
    torch.save(ours.state_dict(), saved)
    saved.seek(0)
    state = torch.load(saved, map_location="cpu", weights_only=True)
    for one, other in zip(*(s["state"].values() for s in (state, theirs.state_dict())),
                          strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert torch.equal(one[name], other[name].cpu())
    again = pair.optimizers(torch.optim.AdamW, fused=True)
    before = pair.host_bytes()
    for model, optimizer in zip(pair.models, again):
        optimizer.load_state_dict(copy.deepcopy(state))
        steps(model, optimizer, 2)
    pair.assert_equal()
    assert pair.host_bytes() > before


def test_it_goes_with_the_optimizer_and_the_model(pair):
    ours, _ = pair.optimizers(torch.optim.AdamW, fused=True)
    steps(pair.ours, ours, 1)
    with_states, size = pair.host_bytes(), sum(p.numel() * 4 for p in in_host(pair.ours))
    assert with_states == 3 * size
    text = " ".join(str(reporting.report(pair.streamer, [pair.ours])).split())
    assert f"{format_size(3 * size)} of gradients and states of optimizers lie in the host" in text
    ours.state.clear()
    assert pair.host_bytes() == size


@pytest.mark.gpu
def test_hbm_holds_neither_gradients_nor_moments(pair):
    ours, _ = pair.optimizers(torch.optim.AdamW, fused=True)
    before = torch.cuda.memory_allocated()
    steps(pair.ours, ours)
    backward(pair.ours)
    assert torch.cuda.memory_allocated() - before < WIDTH * WIDTH * 4


def test_a_host_budget_that_is_too_small_says_who_holds_what(stream, device):
    model = network(2)
    stream(sum(p.numel() * 4 for p in model.parameters()), host_bytes=10 * MIB)
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    backward(model)
    with pytest.raises(torch.OutOfMemoryError, match="exp_avg.*no room(.|\n)*weights"):
        optimizer.step()


def test_copies_and_files_know_nothing_of_it(pair):
    model = pair.ours
    pair.optimizers(torch.optim.AdamW)
    backward(model)
    twin = copy.deepcopy(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for one in (twin, torch.load(file, weights_only=False)):
        assert not in_host(one)
        backward(one)
    assert in_host(model)
