"""What the driver takes of HBM to map memory of the host counts: weights leave room for it, and
torch's limit goes down as it grows."""
import pytest
import torch

import spillway.torch
from models import MIB, WIDTH, homes, network, rounding
from processes import TESTS, run_script
from spillway.packed import pack
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
    """The streamer of a Limit of 64 MiB, and what it has told the device."""
    streamer, told = wide(64 * MIB), []
    monkeypatch.setattr(streamer.device, "limit_torch", told.append, raising=False)
    limit = Limit(streamer, 64 * MIB)
    yield streamer, told
    limit.remove()
    assert told[-1] is None
    before = len(told)
    streamer.pool.host_region(64 * MIB, "afterwards").close()
    assert len(told) == before


def test_torch_may_take_less_as_they_grow(limits):
    streamer, told = limits
    kept = [streamer.pool.host_region(8 * MIB, "some") for _ in range(5)]
    assert told == [64 * MIB - STEP * steps for steps in range(4)]  # of 1, 2, 3, 4 and 5 MiB
    for region in kept:
        region.close()
    streamer.pool.host_region(8 * MIB, "less")
    assert told[-1] == 64 * MIB - STEP


def test_packed_copies_and_kv_caches_count(limits, device):
    streamer, told = limits
    weights = streamer.place(torch.randn(12 << 20, dtype=torch.float32).bfloat16(), "weights")
    before = list(told)
    packed = pack(streamer.pool, weights.data_ptr(), weights.numel(), "packed")
    assert len(told) == len(before) + 1 and told[-1] < before[-1]
    packed.close()


def test_it_is_never_less_than_nothing(limits):
    streamer, told = limits
    with_tables = streamer.pool.host_region(MIB, "some")
    streamer.device.page_table_share = 1000.0
    try:
        streamer.pool.host_region(MIB, "more")
        assert told[-1] == 0
    finally:
        del streamer.device.page_table_share
    with_tables.close()


@pytest.mark.gpu
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
pool = spillway.torch._active.streamer.pool
cached = torch.empty(1600 * MIB, dtype=torch.uint8, device="cuda")
del cached
before = used() - torch.cuda.memory_reserved()
limit = 2048 * MIB - 256 * MIB
assert torch.cuda.memory_reserved() > 1600 * MIB
regions = [pool.host_region(1 << 30, "some") for _ in range(16)]
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
