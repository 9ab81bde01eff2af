"""Weights that stream packed: the same bits for fewer bytes, and the host's budget is for homes
first."""
import gc
import weakref

import pytest
import torch

import models
import spillway.torch
from packed_pair import MIB, SIZE, Pair, network, packed_ones, weights
from spillway import library
from spillway.row_worker import RowWorker
from spillway.torch import cpu_rows, kv_tiers, linear
from spillway.torch import packing as packing_module
from spillway.torch.cpu_rates import Rates
from spillway.torch.cpu_rows import CpuRows


def test_the_same_bits_for_fewer_bytes(stream, device):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    pair.same(4)
    plain = 4 * SIZE
    assert 0.69 * plain < pair.pass_bytes() < 0.73 * plain
    numbers = pair.streamer.packing.numbers()
    assert numbers["weights"] == 4 and numbers["plain_bytes"] == plain
    assert 0.69 < numbers["packed_bytes"] / numbers["plain_bytes"] < 0.73


def test_for_many_tokens_weights_come_as_they_are(stream, device, monkeypatch):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    monkeypatch.setattr(linear, "MOST_TOKENS", 1)
    pair.same(4)
    assert pair.pass_bytes() == 4 * SIZE


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


def test_what_the_budget_has_room_for_is_packed(stream, device, monkeypatch):
    monkeypatch.setattr(packing_module, "KEPT_BYTES", 0)
    pair = Pair(stream, device, host_bytes=4 * SIZE + 3 * MIB // 2)
    assert 1 <= pair.pack() <= 2
    pair.same()


def test_homes_come_first(stream, device, monkeypatch):
    monkeypatch.setattr(packing_module, "KEPT_BYTES", 0)
    other, more = network(2), network(8)
    pair = Pair(stream, device, host_bytes=4 * SIZE + 3 * MIB)
    assert pair.pack() >= 2
    other.to(device)
    assert all(models.homes(other)) and packed_ones(pair.model) == 0
    pair.same()
    with pytest.raises(torch.OutOfMemoryError):
        more.to(device)


@torch.no_grad()
def test_kv_caches_come_first(stream, device, monkeypatch):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setattr(packing_module, "KEPT_BYTES", 0)
    monkeypatch.setattr(kv_tiers, "yield_weights", lambda *_given: 0)  # they would need room there
    pair = Pair(stream, device, host_bytes=4 * SIZE + 3 * MIB)
    assert pair.pack() >= 2
    cache = transformers.DynamicCache()
    states = torch.randn(1, 8, 2048, 16, device=device)  # 1 MiB, twice
    keys, values = cache.update(states, -states, 0)
    assert torch.equal(keys, states) and torch.equal(values, -states)
    assert cache.layers[0].in_host and packed_ones(pair.model) == 0


def test_the_plan_and_the_report_say_what_is_packed(stream, device, monkeypatch):
    monkeypatch.setattr(packing_module, "KEPT_BYTES", 0)
    model, size = network(), 4 * SIZE

    def planned(host):
        plan = spillway.torch.plan(model, 4 * MIB, host, work=0, link="10MB")
        return plan.to_dict()["packing"]["expected_bytes"], str(plan)

    (enough, text), (half, _), (none, _) = (
        planned(host) for host in ("1GiB", size + int(0.355 * size), size))
    assert enough == pytest.approx(0.71 * size, rel=1e-3)
    assert half == pytest.approx((0.71 + 1) / 2 * size, rel=1e-3) and none == size
    assert "packed copies" in text
    pair = Pair(stream, device, model)
    report = spillway.torch.reporting.report(pair.streamer, [model])
    assert "none yet" in str(report) and report.to_dict()["packing"]["weights"] == 0
    assert pair.streamer.amounts(0).link == pytest.approx(0.71 * size, rel=1e-3)
    assert pair.pack() == 4
    report = spillway.torch.reporting.report(pair.streamer, [model])
    assert "4 of those that stream" in str(report) and report.to_dict()["packing"]["weights"] == 4
    assert pair.streamer.amounts(0).link == pytest.approx(0.71 * size, rel=1e-3)


def test_memory_goes_back(stream, device):
    pair = Pair(stream, device)
    assert pair.pack() == 4
    region = weakref.ref(pair.model[0].weight.spillway_weight.packed)
    before = pool_bytes(pair.streamer)
    del pair.model
    gc.collect()
    assert region() is None and pool_bytes(pair.streamer) < before - 6 * SIZE


def pool_bytes(streamer):
    return streamer.pool.host_use()["used_bytes"]


def test_with_cpu_rows(stream, device, monkeypatch):
    monkeypatch.setattr(cpu_rows, "LEAST_BYTES", 4 * MIB)
    pair = Pair(stream, device, models.network(4, 2048).to(torch.bfloat16).requires_grad_(False))
    pair.x = torch.linspace(-1, 1, 2048, device=device).view(1, 2048)
    streamer = pair.streamer
    worker = RowWorker(streamer.pool, 1)
    given = Rates(link_alone=50e9, link=50e9, cpu={1: 50e9}, hbm=3e12)
    streamer.cpu_rows = CpuRows(streamer.device, worker, streamer.amounts, 0.2, given)
    x = pair.x.bfloat16()
    with torch.no_grad():
        wanted, passes = pair.model(x), 1
        while packed_ones(pair.model) < 4 and passes < 20:  # not while a pass has a view of it
            assert torch.equal(pair.model(x), wanted)
            streamer.packing.wait()
            passes += 1
        assert packed_ones(pair.model) == 4
        assert torch.equal(pair.model(x), wanted)
        before = streamer.ring.counts.bytes
        for _ in range(2):
            assert torch.equal(pair.model(x), wanted)
        plain = 2 * 4 * 2 * 1664 * 2048  # the GPU's rows
        assert 0.5 * plain < streamer.ring.counts.bytes - before < 0.75 * plain
    streamer.device.synchronize()
    assert worker.statistics().jobs == (passes + 3) * 4
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
