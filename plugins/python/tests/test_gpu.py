"""What only a GPU can show: torch's own counts, real out-of-memory errors, CUDA graphs, streams."""
import gc
import shutil
import threading

import pytest
import torch

from models import MIB, WIDTH, homes, network, resident_twin
from spillway.torch import reporting

pytestmark = pytest.mark.gpu


@pytest.fixture
def pair(stream, device):
    """A streamed model, its resident twin, and the streamer."""
    model = network(4)
    resident = resident_twin(model, device)
    streamer = stream(0)
    model.to(device)
    assert all(homes(model))
    return model, resident, streamer


def inputs(rows=2, **options):
    return torch.randn(rows, WIDTH, device="cuda", **options)


def same(model, resident):
    with torch.no_grad():
        for _ in range(2):
            x = inputs()
            assert torch.equal(model(x), resident(x))


def requested_bytes():
    """As memory_allocated, without what the allocator rounds up."""
    return torch.cuda.memory_stats()["requested_bytes.all.current"]


def test_memory_allocated_counts_what_lies_in_hbm(stream, device):
    streamer = stream(14 * MIB)
    before, allocated = requested_bytes(), torch.cuda.memory_allocated()
    model = network(8).to(device)
    assert any(homes(model)) and not all(homes(model))
    hbm = [p for p in model.parameters() if not streamer.is_home(p)]
    expected = sum(p.numel() * 4 for p in hbm) + streamer.ring.size_bytes
    assert requested_bytes() - before == expected
    assert torch.cuda.memory_allocated() - allocated >= expected
    assert torch.cuda.memory_stats()["allocated_bytes.all.current"] == torch.cuda.memory_allocated()
    segments = torch.cuda.memory_snapshot()
    assert sum(one["allocated_size"] for one in segments) == torch.cuda.memory_allocated()
    numbers = reporting.report(streamer, [model]).to_dict()
    used = torch.cuda.memory_allocated() + streamer.page_table_bytes()
    assert numbers["hbm"]["used_bytes"] == used


def test_peaks_know_nothing_of_homes(pair):
    peaks = []
    with torch.no_grad():
        for model in pair[:2]:
            model(inputs())
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            model(inputs())
            torch.cuda.synchronize()
            peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[0] == peaks[1]


def test_the_link_is_measured(pair):
    model, _, streamer = pair
    with torch.no_grad():
        for _ in range(40):
            model(inputs())
    torch.cuda.synchronize()
    rate = reporting.link_rate(streamer)
    assert 1e9 < rate < 1e12
    numbers = reporting.report(streamer, [model]).to_dict()
    assert numbers["ring"]["timed"] > 10 and numbers["pass"]["measured_seconds"] > 0


def test_out_of_memory_names_holders(pair):
    model, resident, _ = pair
    with pytest.raises(torch.cuda.OutOfMemoryError, match="weights hold .* the ring") as error:
        torch.empty(1 << 44, dtype=torch.uint8, device="cuda")
    assert "Tried to allocate" in str(error.value)
    same(model, resident)


def test_a_graph_of_a_streamed_model(pair):
    model, resident, _ = pair
    x = inputs()
    with torch.no_grad():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                model(x)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = model(x)
        for step in range(3):
            x.copy_(inputs())
            graph.replay()
            assert torch.equal(y, resident(x))
            same(model, resident)  # between replays it streams as before
            for one in (model, resident):
                one[2].weight.mul_(1.5 + step)  # a replay reads what is there then


def test_a_graph_of_forward_and_backward(pair):
    x = inputs(requires_grad=True)
    results = []
    for model in pair[:2]:
        graphed = torch.cuda.make_graphed_callables(model, (x,))
        given = torch.linspace(-1, 1, 2 * WIDTH, device="cuda").view(2, WIDTH).requires_grad_()
        y = graphed(given)
        y.square().sum().backward()
        results.append([y.detach().clone(), given.grad,
                        *(p.grad.clone() for p in model.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(shutil.which("gcc") is None and shutil.which("cc") is None,
                    reason="Triton needs a C compiler")
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_by_inductor(pair, mode):
    model, resident, _ = pair
    compiled = [torch.compile(one, mode=mode) for one in (model, resident)]
    with torch.no_grad():
        for _ in range(4):
            x = inputs()
            y = [one(x).clone() for one in compiled]
            assert torch.equal(*y)
    same(model, resident)


def test_to_the_cpu_and_back(pair):
    model, resident, streamer = pair
    expected = {name: value.cpu() for name, value in resident.state_dict().items()}
    model.to("cpu")
    assert not any(homes(model))
    for name, value in model.state_dict().items():
        assert value.device.type == "cpu" and torch.equal(value, expected[name])
    gc.collect()
    assert streamer.pool.host_use()["used_bytes"] == 0 and streamer.ring is None
    model.to("cuda")
    assert all(homes(model))
    same(model, resident)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, WIDTH), (7, WIDTH), (2, 64, WIDTH)])
@pytest.mark.parametrize("bias", [True, False])
def test_backward_is_the_same_bit_for_bit(stream, device, dtype, shape, bias):
    model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(4)))
    model = model.to(dtype)
    resident = resident_twin(model, device)
    stream(0)
    model.to(device)
    assert all(homes(model))
    given = torch.randn(shape, device=device, dtype=dtype)
    results = []
    for one in (model, resident):
        x = given.clone().requires_grad_()
        for _ in range(2):
            one(x).float().square().mean().backward()
        results.append([x.grad, *(p.grad for p in one.parameters())])
    for got, wanted in zip(*results, strict=True):
        assert torch.equal(got, wanted)


def test_threads_with_streams_of_their_own(pair):
    model, resident, _ = pair
    x = [inputs() for _ in range(6)]
    with torch.no_grad():
        wanted = [resident(one) for one in x]
    torch.cuda.synchronize()
    wrong = []

    def run(one, expected):
        try:
            with torch.no_grad(), torch.cuda.stream(torch.cuda.Stream()):
                for _ in range(50):
                    assert torch.equal(model(one), expected)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(x, wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_empty_cache(pair):
    model, resident, _ = pair
    for _ in range(3):
        torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
        reserved = torch.cuda.memory_reserved()
        torch.cuda.empty_cache()
        assert torch.cuda.memory_reserved() < reserved
        same(model, resident)


def test_a_pool_of_memory_keeps_its_statistics(stream, device):
    model = network(4)
    resident = resident_twin(model, device)
    pool = torch.cuda.MemPool()
    stream(0)
    with torch.cuda.use_mem_pool(pool):
        model.to(device)  # the ring is made in it
        y = model(inputs())
    same(model, resident)
    held = sum(segment["allocated_size"] for segment in torch.cuda.memory_snapshot()
               if tuple(segment["segment_pool_id"]) == tuple(pool.id))
    assert 3 * WIDTH * WIDTH * 4 <= held < 3 * WIDTH * WIDTH * 4 + MIB
    assert torch.cuda.memory_stats()["allocated_bytes.all.current"] == torch.cuda.memory_allocated()
    del y, model  # before the pool
    gc.collect()


def test_other_streams_wait_for_what_was_written(pair):
    model, resident, _ = pair
    side = torch.cuda.Stream()
    x = inputs()
    with torch.no_grad():
        for _ in range(5):
            for one in (model, resident):
                one[0].weight.mul_(-1)
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                y = model(x)
            torch.cuda.current_stream().wait_stream(side)
            assert torch.equal(y, resident(x))
