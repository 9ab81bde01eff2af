"""The CPU's share of the rows of weights that stream, against the same model without."""
import threading

import models
import pytest
import torch

import spillway.torch
from spillway.row_worker import RowWorker
from spillway.torch.cpu_rates import Rates
from spillway.torch import cpu_rows
from spillway.torch.cpu_rows import CpuRows

MIB = models.MIB
WIDTH = 2048  # of a layer of 8 MiB in bfloat16
GB = 1e9


def rates(cpu=50 * GB, link=50 * GB, many=50 * GB):
    return Rates(link_alone=link, link=link, cpu={1: cpu, 4: many}, hbm=3000 * GB)


@pytest.fixture
def with_rows(stream, monkeypatch):
    """with_rows(share): all weights stream; returns the streamer and a counter of products."""
    monkeypatch.setattr(cpu_rows, "LEAST_BYTES", 4 * MIB)
    open_ones = []

    def start(share, given=None):
        streamer = stream(40 * MIB)
        worker = RowWorker(streamer.pool, 1)
        streamer.cpu_rows = CpuRows(streamer.device, worker, streamer.amounts, share,
                                    given or rates())
        open_ones.append(streamer.cpu_rows)

        def jobs():
            streamer.device.synchronize()
            return worker.statistics().jobs
        return streamer, jobs

    yield start
    for rows in open_ones:
        rows.close()


def model_of(dtype, bias=True):
    layers = [torch.nn.Linear(WIDTH, WIDTH, bias=bias, dtype=dtype) for _ in range(6)]
    return torch.nn.Sequential(*layers).eval()


def error(got, wanted):
    return float((got.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("dtype, most", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2),
                                         (torch.float16, 1e-2)])
@pytest.mark.parametrize("shape", [(WIDTH,), (1, WIDTH), (1, 1, WIDTH), (2, 2, WIDTH)])
def test_results_are_those_of_the_resident_model_but_for_rounding(with_rows, dtype, most, shape,
                                                                  device):
    model = model_of(dtype)
    resident = models.resident_twin(model, device)
    x = torch.randn(shape).to(device, dtype)
    with torch.no_grad():
        wanted = resident(x)
        streamer, jobs = with_rows(0.4)
        model.to(device)
        streams = sum(models.homes(model))
        got = [model(x) for _ in range(3)]
    assert 0 < streams and jobs() == 3 * streams
    assert got[0].shape == wanted.shape and got[0].dtype == dtype
    assert error(got[0], wanted) <= most
    assert all(torch.equal(got[0], other) for other in got[1:])


def test_only_the_gpus_rows_are_copied_and_whole_weights_where_they_are_needed(with_rows, device):
    model = model_of(torch.bfloat16)
    streamer, jobs = with_rows(0.5)
    if streamer.packing is not None:
        pytest.skip("counts bytes that are not packed")
    model.to(device)
    one, many = (torch.randn(n, WIDTH).to(device, torch.bfloat16) for n in (1, 64))
    ring = streamer.ring

    def copied(x):
        before = ring.counts.bytes
        with torch.no_grad():
            for _ in range(4):
                model(x)
        return ring.counts.bytes - before

    whole, part, again = copied(many), copied(one), copied(many)
    assert jobs() == 4 * sum(models.homes(model))
    assert part < 0.6 * whole
    assert 0.9 * whole < again < 1.4 * whole


@pytest.mark.parametrize("uses", ["gradients", "many tokens", "autocast", "share 0"])
def test_the_cpu_keeps_out_of(with_rows, uses, device):
    model = model_of(torch.bfloat16 if uses != "autocast" else torch.float32)
    resident = models.resident_twin(model, device)
    x = torch.randn(64 if uses == "many tokens" else 1, WIDTH).to(device, model[0].weight.dtype)
    slow = rates(cpu=1 * GB)
    with torch.autocast(device.type, torch.bfloat16, enabled=uses == "autocast"), \
            torch.set_grad_enabled(uses == "gradients"):
        wanted = resident(x)
        _, jobs = with_rows(None if uses == "share 0" else 0.4, slow if uses == "share 0" else None)
        model.to(device)
        got = model(x)
    assert any(models.homes(model)) and jobs() == 0
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("bias", [False, True])
def test_of_many_weights_the_cpu_gets_some_as_a_whole(with_rows, device, bias, monkeypatch):
    monkeypatch.setattr(cpu_rows, "MANY", 4)
    model = model_of(torch.bfloat16, bias)
    resident = models.resident_twin(model, device)
    streamer, jobs = with_rows(0.4)
    model.to(device)
    x = torch.randn(1, WIDTH).to(device, torch.bfloat16)
    with torch.no_grad():
        wanted = resident(x)
        got = [model(x) for _ in range(3)]
        before = streamer.ring.counts.bytes
        got.append(model(x))
        copied = streamer.ring.counts.bytes - before
    weights = [p.spillway_weight for p in model.parameters() if hasattr(p, "spillway_weight")]
    whole = [weight.gpu_rows for weight in weights]
    assert whole == [WIDTH, 0, WIDTH, 0, WIDTH, WIDTH][:len(weights)] and len(weights) > 3
    assert jobs() == 4 * whole.count(0)
    assert copied <= whole.count(WIDTH) * weights[0].size_bytes
    assert error(got[0], wanted) <= 1e-2
    assert all(torch.equal(got[0], other) for other in got[1:])


def whole_ones(model, x):
    """Of each weight that streams, whether it is the CPU's, once x has been used."""
    with torch.no_grad():
        model(x)
    return [p.spillway_weight.gpu_rows == 0 for p in model.parameters()
            if hasattr(p, "spillway_weight")]


@torch.no_grad()
@pytest.mark.standin("so small a budget is counted beside what a GPU holds of its own")
@pytest.mark.parametrize("made", ["first", "on the device"])
def test_the_first_eighth_is_the_gpus_where_hbm_has_room_for_it(stream, with_rows, device, made):
    def placed(streamer):
        where = device if made == "on the device" else "cpu"
        model = torch.nn.Sequential(*[torch.nn.Linear(WIDTH, WIDTH, device=where,
                                                      dtype=torch.bfloat16) for _ in range(16)])
        model.to(device)
        x = torch.randn(1, WIDTH).to(device, torch.bfloat16)
        for _ in range(2):
            model(x)
        return models.homes(model)

    streamer, _ = with_rows(0.5)
    streamer.hbm_bytes = 88 * MIB
    with_cpu = placed(streamer)
    streamer.cpu_rows = None
    alone = placed(streamer)
    assert not any(with_cpu[:2]) and any(with_cpu[2:4])
    assert any(alone[:2]) and sum(alone) == sum(with_cpu)


def test_which_weights_are_the_cpus_depends_on_the_model_alone(with_rows, device, monkeypatch):
    monkeypatch.setattr(cpu_rows, "MANY", 4)
    streamer, _ = with_rows(0.4)
    one, many = (torch.randn(n, WIDTH).to(device, torch.bfloat16) for n in (1, 64))
    first = model_of(torch.bfloat16).to(device)
    wanted = whole_ones(first, one)
    assert any(wanted) and not all(wanted)
    del first
    second = model_of(torch.bfloat16).to(device)
    with torch.no_grad():
        second[3:](many)  # more tokens than the CPU takes, and not from the beginning
        second(many)
    streamer.cpu_rows.cut_anew(0.4)
    assert whole_ones(second, many) == whole_ones(second, one) == wanted


def test_a_write_is_seen_by_both(with_rows, device):
    model = model_of(torch.bfloat16, bias=False)
    _, jobs = with_rows(0.4)
    model.to(device)
    x = torch.randn(1, WIDTH).to(device, torch.bfloat16)
    with torch.no_grad():
        first = model(x)
        for parameter in model.parameters():
            parameter.mul_(2)
        assert torch.equal(model(x), first * 2 ** 6)  # exact: powers of two
    assert jobs() == 2 * sum(models.homes(model))


def test_threads_that_use_one_model(with_rows, device):
    model = model_of(torch.float32)
    streamer, _ = with_rows(0.4)
    model.to(device)
    inputs = [torch.randn(1, WIDTH, device=device) for _ in range(4)]
    with torch.no_grad():
        wanted = [model(x) for x in inputs]
    got = [None] * len(inputs)

    def use(index):
        with torch.no_grad():
            for _ in range(3):
                got[index] = model(inputs[index])
    threads = [threading.Thread(target=use, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(got, wanted))


def test_a_shape_that_is_wrong_raises_and_the_next_one_works(with_rows, device):
    model = model_of(torch.float32)
    with_rows(0.4)
    model.to(device)
    with torch.no_grad():
        with pytest.raises(RuntimeError):
            model(torch.randn(1, WIDTH + 1, device=device))
        assert model(torch.randn(1, WIDTH, device=device)).shape == (1, WIDTH)


def test_the_report_says_where_the_time_went(with_rows, device):
    model = model_of(torch.float32)
    streamer, jobs = with_rows(0.4)
    assert streamer.cpu_rows.report() == "CPU rows: none yet"
    model.to(device)
    with torch.no_grad():
        model(torch.randn(1, WIDTH, device=device))
    assert jobs() > 0
    text = streamer.cpu_rows.report()
    assert "40.0% of what streams" in text and "waiting for x" in text and "for the link" in text


def test_beside_small_weights_only_the_parts_of_large_ones_come(with_rows, device):
    streamer, jobs = with_rows(0.5)
    sizes = [(WIDTH, WIDTH), (WIDTH, 256), (256, WIDTH)] * 12
    model = torch.nn.Sequential(*(torch.nn.Linear(*size, dtype=torch.bfloat16)
                                  for size in sizes)).to(device)
    weights = [p.spillway_weight for p in model.parameters() if hasattr(p, "spillway_weight")]
    assert {weight.row_count * weight.row_bytes for weight in weights} == {8 * MIB, MIB}
    x, counts = torch.randn(1, WIDTH, dtype=torch.bfloat16, device=device), streamer.ring.counts
    with torch.inference_mode():
        for _ in range(3):
            model(x)
        before, done = counts.bytes, jobs()
        model(x)
    assert jobs() > done
    parts = sum(weight.count(True) * weight.row_bytes for weight in weights)
    # The ring is as far ahead afterwards as it was before, or by a few weights more or less.
    assert 0.8 * parts < counts.bytes - before < 1.2 * parts


@pytest.mark.standin("a larger ring would take more of HBM than the larger weight does")
def test_small_weights_are_the_links(stream, device):
    streamer = stream(0)
    layers = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 256)
    model = torch.nn.Sequential(*layers).to(device)
    assert all(models.homes(model))
    found = streamer.amounts(4 * MIB)
    assert found.products == 1 and found.shared == 4 * WIDTH * WIDTH
    assert found.streamed == found.link == found.shared + 4 * WIDTH * 256


@pytest.mark.parametrize("wrong", [0, 1, 1.5, -0.1, "some"])
def test_what_is_no_share_is_refused(wrong):
    with pytest.raises(ValueError, match="cpu_rows"):
        spillway.torch._share(wrong)
