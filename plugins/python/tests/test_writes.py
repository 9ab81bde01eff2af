"""Writes to streamed weights are seen by the next use, whichever way they are made, and conversions
and copies keep what streams in the host."""
import copy
import io
import weakref

import pytest
import torch

from models import MIB, WIDTH, homes, network, resident_twin


@pytest.fixture
def pair(stream, device):
    """A model of which all weights stream, and a resident one that is equal. Both ran twice, so
    that the ring holds copies that were made ahead."""
    streamed = network(3)
    resident = resident_twin(streamed, device)
    stream(0)
    streamed.to(device)
    assert all(homes(streamed)) and not any(homes(resident))
    same(streamed, resident)
    return streamed, resident


def same(streamed, resident):
    x = torch.linspace(-1, 1, 2 * WIDTH, device=resident[0].weight.device).view(2, WIDTH)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(streamed(x), resident(x))


def add_to_data(weight):
    weight.data += 0.5


def write_into_data(weight):
    weight.data[3:5].fill_(2)


def copy_into_data(weight):
    weight.data.copy_(torch.ones_like(weight.data))


def add_in_inference_mode(weight):
    with torch.inference_mode():
        weight.mul_(2)


def add_without_gradients(weight):
    with torch.no_grad():
        weight.add_(1)


def replace_data(weight):
    weight.data = torch.full_like(weight, 0.25)


WRITES = [add_to_data, write_into_data, copy_into_data, add_in_inference_mode,
          add_without_gradients, replace_data]


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_write_is_seen(pair, write):
    for model in pair:
        for part in model:
            if isinstance(part, torch.nn.Linear):
                write(part.weight)
    same(*pair)


@pytest.mark.parametrize("kind, options", [
    (torch.optim.AdamW, dict(fused=True)), (torch.optim.SGD, dict(lr=0.1, fused=True)),
    (torch.optim.AdamW, dict(foreach=True))])
def test_steps_of_an_optimizer_are_seen(pair, kind, options):
    """The fused ones do not count what they write."""
    for model in pair:
        optimizer = kind(model.parameters(), **options)
        model[0](torch.ones(2, WIDTH, device=model[0].weight.device)).square().mean().backward()
        optimizer.step()
    same(*pair)


def test_a_write_through_an_old_view_is_seen(pair):
    views = [model[2].weight.data.view(-1)[10:] for model in pair]
    same(*pair)
    for view in views:
        view.mul_(-1)
    same(*pair)


def test_parameters_over_the_same_bytes_see_each_others_writes(pair):
    for model in pair:
        model.twin = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        model.twin.weight.data = model[0].weight.data
    same(*pair)
    for model in pair:
        with torch.no_grad():
            model.twin.weight.mul_(3)
    same(*pair)


def test_a_parameter_made_of_anothers_data_streams_once_it_is_alone(pair):
    streamed, resident = pair
    streamed[0].weight = torch.nn.Parameter(streamed[0].weight.data, requires_grad=False)
    assert streamed[0].weight.spillway_weight.alone()
    same(streamed, resident)


def test_load_state_dict(pair):
    state = {name: torch.randn_like(value) for name, value in pair[1].state_dict().items()}
    for model in pair:
        model.load_state_dict(state)
    assert all(homes(pair[0]))
    same(*pair)
    for model in pair:
        model.load_state_dict({name: value + 1 for name, value in state.items()}, assign=True)
    same(*pair)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_conversions_keep_the_home(pair, dtype, device):
    streamed, resident = pair
    for model in pair:
        {torch.bfloat16: model.bfloat16, torch.float16: model.half,
         torch.float64: model.double}[dtype]()
    assert all(homes(streamed))
    x = torch.randn(2, WIDTH, dtype=dtype, device=device)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(streamed(x), resident(x))
    for model in pair:
        model.to(dtype=torch.float32)
    assert all(homes(streamed))
    same(streamed, resident)


def test_what_leaves_gives_its_home_back(pair):
    streamed, resident = pair
    homes_of = [weakref.ref(part.weight.spillway_weight) for part in streamed[::2]]
    for part in streamed[::2]:  # as Module.to() does on the way to another device
        part.weight.data = part.weight.data.clone()
    assert not any(homes(streamed)) and not any(home() for home in homes_of)
    same(streamed, resident)


def test_a_copy_has_a_home_of_its_own(pair):
    streamed, resident = pair
    twin = copy.deepcopy(streamed)
    assert all(homes(twin))
    assert twin[0].weight.data_ptr() != streamed[0].weight.data_ptr()
    same(twin, resident)
    with torch.no_grad():
        twin[0].weight.zero_()
    same(streamed, resident)


def test_a_model_that_is_pickled_knows_nothing_of_homes(pair):
    streamed, resident = pair
    file = io.BytesIO()
    torch.save(streamed, file)
    torch.save(list(streamed.parameters()), io.BytesIO())
    assert all(homes(streamed))
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert not any(homes(again))
    same(again, resident)


def test_to_empty_gives_homes(stream, device):
    with torch.device("meta"):
        model = network()
        model.head = torch.nn.Linear(WIDTH, WIDTH, bias=False)
        model.head.weight = model[0].weight
    streamer = stream(12 * MIB)
    model.to_empty(device=device)
    assert any(homes(model)) and not all(homes(model))
    assert model.head.weight is model[0].weight
    assert streamer.allocated_bytes() <= streamer.hbm_bytes
