"""What the driver takes of HBM to map memory of the host counts: weights leave room for it, and
torch's limit goes down as it grows."""
import gc

import pytest
import torch

import spillway.torch
from models import MIB, WIDTH, homes, network, rounding
from packed_pair import Pair
from processes import TESTS, run_script
from spillway.torch import devices
from spillway.torch.device import PAGE_TABLE_SHARE
from spillway.torch.segments import STEP, Limit

SHARE = 1 / 8  # so that it counts beside weights of a few MiB
LAYER = WIDTH * WIDTH * 4


@pytest.fixture
def wide(stream, monkeypatch):
    """stream(), with page tables of that share."""
    def start(hbm_bytes):
        streamer = stream(hbm_bytes)
        monkeypatch.setattr(type(streamer.device), "page_table_share", SHARE)
        return streamer
    return start


def test_they_are_counted(stream):
    streamer = stream(64 * MIB)
    before = streamer.allocated_bytes()
    region = streamer.pool.host_region(16 * MIB, "some")
    assert streamer.page_table_bytes() == 16 * MIB * PAGE_TABLE_SHARE
    assert streamer.allocated_bytes() - before == 16 * MIB * PAGE_TABLE_SHARE
    region.close()
    assert streamer.allocated_bytes() == before


@pytest.mark.parametrize("mib", [10, 12, 15, 17])
def test_weights_that_are_planned_leave_room(wide, device, mib):
    streamer = wide(mib * MIB)
    model = network(8).to(device)
    assert any(homes(model)) and streamer.ring is not None
    left = streamer.hbm_bytes - streamer.allocated_bytes()
    assert -rounding(device) <= left < LAYER + LAYER * SHARE


@pytest.mark.parametrize("mib", [10, 12, 15, 17])
def test_weights_that_are_made_there_leave_room(wide, device, mib):
    streamer = wide(mib * MIB)
    with device:
        model = network(8)
    assert any(homes(model)) and streamer.allocated_bytes() <= streamer.hbm_bytes
    with torch.no_grad():
        for _ in range(2):  # after the first they are spread
            model(torch.randn(2, WIDTH, device=device))
    assert streamer.allocated_bytes() <= streamer.hbm_bytes + rounding(device)


@pytest.mark.parametrize("mib", [10, 12, 15, 17])
def test_the_plan_says_so(wide, device, monkeypatch, mib):
    monkeypatch.setattr(spillway.torch.planning.Paper, "page_table_share", SHARE)
    plan = spillway.torch.plan(network(8), mib * MIB, work=0, link="10MB").to_dict()
    streamer = wide(mib * MIB)
    before = streamer.allocated_bytes()
    model = network(8).to(device)
    assert plan["host"]["used_bytes"] == LAYER * sum(homes(model))
    taken = streamer.allocated_bytes() - before
    assert 0 <= taken - plan["hbm"]["used_bytes"] <= 16 * rounding(device)


@pytest.fixture
def limits(wide, monkeypatch):
    """The streamer of a Limit of 64 MiB, and what the device was told."""
    streamer, told = wide(64 * MIB), []
    monkeypatch.setattr(streamer.device, "limit_torch", told.append, raising=False)
    streamer.limit = Limit(streamer, 64 * MIB)
    yield streamer, told
    if streamer.limit is not None:
        streamer.limit.remove()


def test_torch_may_take_less_as_they_grow(limits):
    streamer, told = limits
    kept = [streamer.host_region(8 * MIB, "some") for _ in range(5)]
    assert told == [64 * MIB - STEP * steps for steps in range(4)]  # of 1, 2, 3, 4 and 5 MiB
    for region in kept:
        region.close()
    streamer.keep_limit()
    assert told[-1] == 64 * MIB


def test_it_ends_with_it_even_for_who_is_late(limits):
    streamer, told = limits
    limit = streamer.limit
    limit.remove()
    assert told[-1] is None and streamer.limit is None
    region = streamer.host_region(64 * MIB, "afterwards")
    limit.follow()  # of a thread that was about to
    assert told[-1] is None
    region.close()


def test_packed_copies_count(stream, device, monkeypatch):
    told = []
    pair = Pair(stream, device)
    streamer = pair.streamer
    monkeypatch.setattr(type(streamer.device), "page_table_share", 4.0)
    monkeypatch.setattr(streamer.device, "limit_torch", told.append, raising=False)
    streamer.packing.limit = Limit(streamer, 1 << 30)
    before = streamer.pool.host_use()["used_bytes"]
    assert pair.pack() == 4
    grown = streamer.pool.host_use()["used_bytes"] - before
    assert told[0] - told[-1] >= 4 * grown - STEP > 0
    streamer.packing.limit.remove()


@torch.no_grad()
def test_kv_caches_count(limits, device):
    transformers = pytest.importorskip("transformers")
    streamer, told = limits
    streamer.hbm_bytes = streamer.allocated_bytes()  # a cache goes home
    before = told[-1]
    cache = transformers.DynamicCache()
    states = torch.ones((1, 4, 1024, 64), device=device)
    for layer in range(4):
        cache.update(states, states, layer)
    assert any(layer.in_host for layer in cache.layers) and told[-1] < before
    held = told[-1]
    del cache
    gc.collect()
    transformers.DynamicCache()  # somebody is about to use a model
    assert told[-1] > held


def test_it_is_never_less_than_nothing(limits, monkeypatch):
    streamer, told = limits
    monkeypatch.setattr(type(streamer.device), "page_table_share", 1000.0)
    region = streamer.host_region(MIB, "some")
    assert told[-1] == 0
    region.close()


class Counted:
    """Of torch.cuda, what a limit needs: a GPU of 1 GiB."""

    def __init__(self, monkeypatch):
        self.reserved, self.capturing, self.fractions, self.emptied = 0, False, [], 0
        for name, value in {
                "memory_reserved": lambda device: self.reserved,
                "is_current_stream_capturing": lambda: self.capturing,
                "set_per_process_memory_fraction": lambda share, _: self.fractions.append(share),
                "empty_cache": self.empty}.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def empty(self):
        self.emptied += 1


@pytest.mark.standin("no GPU's memory is what it is told")
def test_what_torch_has_cached_beyond_it_goes_back(monkeypatch):
    cuda = Counted(monkeypatch)
    gpu = object.__new__(devices.Cuda)
    gpu.device, gpu._total, gpu._limit = torch.device("cuda", 0), 1 << 30, 1 << 30
    cuda.reserved = 512 * MIB
    gpu.keep_limit()
    gpu.limit_torch(512 * MIB)
    gpu.keep_limit()
    assert cuda.fractions == [0.5] and cuda.emptied == 0
    gpu.limit_torch(511 * MIB)
    assert cuda.emptied == 0  # in whatever thread that was
    cuda.capturing = True
    gpu.keep_limit()
    assert cuda.emptied == 0
    cuda.capturing = False
    gpu.keep_limit()
    assert cuda.emptied == 1
    gpu.limit_torch(None)
    gpu.limit_torch(2 << 30)
    gpu.keep_limit()
    assert cuda.fractions[2:] == [1.0, 1.0] and cuda.emptied == 1


@pytest.mark.gpu
@pytest.mark.alone
def test_the_drivers_view_stays_within_the_budget(tmp_path):
    done = run_script(tmp_path, f"""
import sys
sys.path[:0] = [{str(TESTS.parent)!r}]
import torch
import spillway.torch

MIB = 1 << 20
a = torch.ones(1024, 1024, device="cuda", dtype=torch.bfloat16)
(a @ a).sum().item()

def used():
    free, total = torch.cuda.mem_get_info()
    return total - free

idle = used()
spillway.torch.enable(hbm_budget="2GiB", host_budget="24GiB", work="1GiB")
streamer = spillway.torch._active.streamer
cached = []
for size in (32 * MIB, MIB):  # of segments that grow by 20 MiB, then by 2
    try:
        while True:
            cached.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    except torch.cuda.OutOfMemoryError:
        pass
cached.clear()
before = used() - torch.cuda.memory_reserved()
limit = 2048 * MIB - 256 * MIB
assert torch.cuda.memory_reserved() > 1776 * MIB
regions = [streamer.host_region(1 << 30, "some") for _ in range(16)]
assert torch.cuda.memory_reserved() <= limit - (32 << 20), torch.cuda.memory_reserved()
tables = used() - torch.cuda.memory_reserved() - before
print(tables / MIB)
assert 16 << 20 < tables < 40 << 20, tables
try:
    while True:
        regions.append(torch.empty(64 * MIB, dtype=torch.uint8, device="cuda"))
except torch.cuda.OutOfMemoryError:
    pass
assert torch.cuda.memory_reserved() <= limit - (32 << 20), torch.cuda.memory_reserved()
assert used() <= 2048 * MIB + idle, (used(), idle)
""")
    assert done.returncode == 0, done.stderr
