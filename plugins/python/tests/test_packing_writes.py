"""Writes to weights that stream packed are seen, whichever way they are made."""
import gc

import pytest
import torch
from torch.utils import dlpack

from packed_pair import Pair, weights
from spillway.torch import devices
from spillway.torch import packing as packing_module


@pytest.fixture
def pair(stream, device):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    return pair


def add_to_data(weight):
    weight.data += 0.5


def add_without_gradients(weight):
    with torch.no_grad():
        weight.add_(1)


def add_in_inference_mode(weight):
    with torch.inference_mode():
        weight.mul_(2)


def write_into_a_view(weight):
    weight.detach().view(-1)[5:].mul_(-1)


def write_into_the_state(weight):
    torch.nn.ParameterDict({"w": weight}).state_dict()["w"].data.copy_(weight * 0.5)


def set_data(weight):
    weight.data = torch.full_like(weight, 0.25)


def write_into_the_storage(weight):
    storage = weight.untyped_storage()
    torch.empty(0, dtype=weight.dtype, device=weight.device).set_(
        storage, 0, weight.shape, weight.stride()).fill_(0.125)


def set_another_tensor(weight):
    other = torch.empty(0, dtype=weight.dtype, device=weight.device)
    other.set_(weight.detach())
    other.fill_(0.375)


def set_data_of_another_tensor(weight):
    other = torch.empty_like(weight)
    other.data = weight.detach()
    other.fill_(-0.5)


def write_by_dlpack(weight):
    torch.from_dlpack(weight.detach()).fill_(0.75)


def write_by_a_capsule(weight):
    torch.from_dlpack(dlpack.to_dlpack(weight.detach())).fill_(0.0625)


def write_by_address(weight):
    region = type("Region", (), {"address": weight.data_ptr(),
                                 "size_bytes": weight.numel() * weight.element_size()})
    keeper = type("Keeper", (), {"region": region})
    device = devices.Cuda(0) if weight.is_cuda else devices.Cpu()
    device.tensor(keeper, weight.shape, weight.dtype).fill_(1.5)


WRITES = [add_to_data, add_without_gradients, add_in_inference_mode, write_into_a_view,
          write_into_the_state, set_data, write_into_the_storage, set_another_tensor,
          set_data_of_another_tensor, write_by_dlpack, write_by_a_capsule, write_by_address]


def write_to_all(pair, write):
    for model in (pair.model, pair.resident):
        for weight in weights(model):
            write(weight)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_a_write_is_seen(pair, write):
    write_to_all(pair, write)
    pair.same()
    if write is not set_data:  # that brings it to HBM
        assert pair.pack() == 4, "what is written once is packed again"
        pair.same()


@pytest.mark.parametrize("alias", [
    lambda weight: weight.detach().data, lambda weight: weight.detach().untyped_storage(),
    lambda weight: torch.from_dlpack(weight.detach()),
    lambda weight: torch.empty(0, dtype=weight.dtype, device=weight.device).set_(weight.detach())],
    ids=["data", "storage", "dlpack", "set_"])
def test_while_something_may_write_uncounted_the_weight_is_not_packed(pair, alias):
    held = [alias(weight) for weight in weights(pair.model)]
    assert pair.pack() == 0
    del held
    gc.collect()
    assert pair.pack() == 4


def test_a_write_while_it_is_packed(stream, device, monkeypatch):
    pair = Pair(stream, device)
    original, written = packing_module.pack, []

    def pack(*arguments):
        made = original(*arguments)
        if not written:
            written.append(made)
            with torch.no_grad():
                for model in (pair.model, pair.resident):
                    for weight in weights(model):
                        weight.add_(1)
        return made

    monkeypatch.setattr(packing_module, "pack", pack)
    with torch.no_grad():
        for _ in range(2):
            pair.model(pair.x.bfloat16())
    pair.streamer.packing.wait()
    assert written and weights(pair.model)[0].spillway_weight.packed is None
    assert pair.pack() == 4
    pair.same()


def test_what_is_written_again_and_again_is_packed_ever_less_often(pair, monkeypatch):
    packed = []
    original = packing_module.pack
    monkeypatch.setattr(packing_module, "pack",
                        lambda *arguments: packed.append(1) or original(*arguments))
    for _ in range(16):
        write_to_all(pair, add_without_gradients)
        pair.same(1)
        pair.streamer.packing.wait()
    assert 0 < len(packed) <= 4 * 4
