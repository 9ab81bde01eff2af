"""Weights that stream packed: the same bits for fewer bytes, every write is seen, and the host's
budget is for homes first."""
import gc
import weakref

import pytest
import torch
from torch.utils import dlpack

import models
import spillway.torch
from spillway import library
from spillway.row_worker import RowWorker
from spillway.torch import packing as packing_module
from spillway.torch.cpu_rates import Rates
from spillway.torch.cpu_rows import CpuRows

MIB = models.MIB
WIDTH = 768  # of a layer of 1.125 MiB in bfloat16
SIZE = 2 * WIDTH * WIDTH


def network(layers=4, dtype=torch.bfloat16):
    return models.network(layers, WIDTH).to(dtype).requires_grad_(False).eval()


def weights(model):
    return [part.weight for part in model if isinstance(part, torch.nn.Linear)]


def packed_ones(model):
    """How many weights go over the link packed."""
    found = [weight.spillway_weight for weight in weights(model)]
    return sum(one.packed is not None and one.packed.version == one.version for one in found)


class Pair:
    """A model of which all weights stream, and a resident one that is equal."""

    def __init__(self, stream, device, model=None, host_bytes=512 * MIB):
        self.model = network() if model is None else model
        self.resident = models.resident_twin(self.model, device)
        self.streamer = stream(0, host_bytes, packing=True)
        self.model.to(device)
        assert all(models.homes(self.model))
        self.x = torch.linspace(-1, 1, 2 * WIDTH, device=device).view(2, WIDTH)

    def same(self, times=2):
        with torch.no_grad():
            x = self.x.to(self.model[0].weight.dtype)
            for _ in range(times):
                assert torch.equal(self.model(x), self.resident(x))

    def pack(self):
        """As many as can be; how many that are."""
        for weight in weights(self.model):
            if (one := weight.__dict__.get("spillway_weight")) is not None:
                one.uses_until_packing = min(one.uses_until_packing, 0)
        self.same(1)
        self.streamer.packing.wait()
        return packed_ones(self.model)

    def pass_bytes(self):
        """Over the link in a pass, from the second one on."""
        self.same()
        before = self.streamer.ring.counts.bytes
        self.same(4)
        return (self.streamer.ring.counts.bytes - before) / 4


@pytest.fixture
def pair(stream, device):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    return pair


def test_the_same_bits_for_fewer_bytes(stream, device):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    pair.same(4)
    plain = 4 * SIZE
    assert 0.69 * plain < pair.pass_bytes() < 0.73 * plain
    numbers = pair.streamer.packing.numbers()
    assert numbers["weights"] == 4 and numbers["plain_bytes"] == plain
    assert 0.69 < numbers["packed_bytes"] / numbers["plain_bytes"] < 0.73


def test_every_bit_pattern(stream, device):
    model = network(3)
    for weight in weights(model):  # mostly normal numbers, and all that there are
        weight.view(-1)[:1 << 16] = torch.arange(1 << 16).to(torch.int16).view(torch.bfloat16)
    pair = Pair(stream, device, model)
    found = [weight.detach().clone() for weight in weights(pair.resident)]
    with torch.no_grad():
        for _ in range(3):
            pair.model(pair.x.bfloat16())
            pair.streamer.packing.wait()
    assert packed_ones(model) == 3
    ring = pair.streamer.ring
    for weight, wanted in zip(weights(model), found):
        lease = ring.fetch(weight.spillway_weight)
        assert torch.equal(lease.tensor.view(torch.int16), wanted.view(torch.int16))
        ring.release(lease)


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
    device = spillway.torch.devices.Cuda(0) if weight.is_cuda else spillway.torch.devices.Cpu()
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


def test_training_packs_nothing_but_what_is_frozen(stream, device):
    model = network()
    model[0].weight.requires_grad_(True)
    pair = Pair(stream, device, model)
    for _ in range(3):
        for one in (pair.model, pair.resident):
            one(pair.x.bfloat16()).square().sum().backward()
        pair.streamer.packing.wait()
    assert [weight.spillway_weight.packed is not None for weight in weights(model)] == [
        False, True, True, True]
    assert torch.equal(model[0].weight.grad, pair.resident[0].weight.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_dtypes_stay_as_they_are(stream, device, dtype):
    pair = Pair(stream, device, network(dtype=dtype))
    assert pair.pack() == 0
    pair.same()


def test_noise_stays_as_it_is(stream, device):
    model = network(3)
    for weight in weights(model):
        weight.view(torch.int16).random_(-0x4000, 0x3F00)
    pair = Pair(stream, device, model)
    with torch.no_grad():
        for _ in range(2):
            model(pair.x.bfloat16())
    pair.streamer.packing.wait()
    assert packed_ones(model) == 0


def test_what_the_budget_has_room_for_is_packed(stream, device):
    pair = Pair(stream, device, host_bytes=4 * SIZE + 3 * MIB // 2)
    assert 1 <= pair.pack() <= 2
    pair.same()


def test_homes_come_first(stream, device):
    other, more = network(2), network(8)
    pair = Pair(stream, device, host_bytes=4 * SIZE + 3 * MIB)
    assert pair.pack() >= 2
    other.to(device)
    assert all(models.homes(other)) and packed_ones(pair.model) == 0
    pair.same()
    with pytest.raises(torch.OutOfMemoryError):
        more.to(device)


def test_memory_goes_back(pair):
    region = weakref.ref(pair.model[0].weight.spillway_weight.packed)
    before = pool_bytes(pair.streamer)
    del pair.model
    gc.collect()
    assert region() is None and pool_bytes(pair.streamer) < before - 6 * SIZE


def pool_bytes(streamer):
    return spillway.torch.reporting.host_use(streamer)["used_bytes"]


def test_with_cpu_rows(stream, device):
    pair = Pair(stream, device, models.network(4, 2048).to(torch.bfloat16).requires_grad_(False))
    pair.x = torch.linspace(-1, 1, 2048, device=device).view(1, 2048)
    streamer = pair.streamer
    worker = RowWorker(streamer.pool, 1)
    given = Rates(link_alone=50e9, link=50e9, cpu={1: 50e9}, hbm=3e12)
    streamer.cpu_rows = CpuRows(streamer.device, worker, streamer.amounts, 0.2, given)
    x = pair.x.bfloat16()
    with torch.no_grad():
        wanted = pair.model(x)
        assert torch.equal(pair.model(x), wanted)
        streamer.packing.wait()
        assert packed_ones(pair.model) == 4
        assert torch.equal(pair.model(x), wanted)
        before = streamer.ring.counts.bytes
        for _ in range(2):
            assert torch.equal(pair.model(x), wanted)
        plain = 2 * 4 * 2 * 1664 * 2048  # the GPU's rows
        assert 0.5 * plain < streamer.ring.counts.bytes - before < 0.75 * plain
    streamer.device.synchronize()
    assert worker.statistics().jobs == 5 * 4
    streamer.cpu_rows.close()


def test_words(monkeypatch):
    way = spillway.torch._packing_way
    assert way(True) == way("on") == packing_module.WAYS[0]
    assert way(False) is way("off") is None
    assert way("in-place") == "in place" and way("staged") == "staged"
    with pytest.raises(ValueError, match="packing is 'some'"):
        way("some")
    monkeypatch.setenv("SPILLWAY_PACKING", "some")
    with pytest.raises(ValueError, match="packing"):
        spillway.torch.enable(host_budget="1GiB")


def test_a_library_that_cannot_unpack(stream, monkeypatch):
    streamer = stream(0)

    def fail(*_arguments):
        raise library.Error("the kernel unpack_bf16 was not built")

    monkeypatch.setattr(spillway.torch, "Packing", fail)
    with pytest.warns(RuntimeWarning, match="was not built"):
        assert spillway.torch._packing(streamer, "in place") is None
