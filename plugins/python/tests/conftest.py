"""A streamer on the device that tests run on: a CPU that stands in for the GPU, with the same ring,
homes and patches, or by --device cuda a GPU."""
import gc
import os

import pytest

# On AMD's processors MKL's products of float32 depend on where matrices lie, unless it is told so
# before it is loaded; in the tests a resident model's lie elsewhere than a slot.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

import torch

from spillway import library
from spillway.torch import devices, loading
from spillway.torch.packing import WAYS, Packing
from spillway.torch.streamer import Streamer

MIB = 1 << 20
MARKERS = {
    "slow": "takes a minute; runs with --slow",
    "gpu": "needs a GPU; runs with --device cuda",
    "alone": "reads what all processes hold of the GPU: run by -m alone while nothing else does",
    "standin(reason)": "shows something of the stand-in only; not with --device cuda"}


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="the slow tests, too")
    parser.addoption("--device", choices=("cpu", "cuda"), default="cpu",
                     help="what streams: the CPU as a stand-in (default), or the GPU 0")
    parser.addoption("--packing", choices=WAYS, help="all that can be streams packed")


def pytest_configure(config):
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    if config.getoption("--device") == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: torch sees no GPU")


def pytest_collection_modifyitems(config, items):
    cuda = config.getoption("--device") == "cuda"
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; pytest --slow runs it"))
        if item.get_closest_marker("gpu") and not cuda:
            item.add_marker(pytest.mark.skip(reason="needs a GPU; pytest --device cuda runs it"))
        if (marker := item.get_closest_marker("standin")) and cuda:
            item.add_marker(pytest.mark.skip(reason=f"on a stand-in only: {marker.args[0]}"))


@pytest.fixture(scope="session")
def device(request):
    """Where models are brought to."""
    chosen = torch.device(request.config.getoption("--device"))
    if chosen.type == "cuda":
        _allocate_workspaces(chosen)
    return chosen


def _allocate_workspaces(cuda):
    """cuBLAS takes its own, in this thread and autograd's, from what torch counts: once, before a
    test says how much there may be."""
    for dtype in (torch.float32, torch.bfloat16):
        layer = torch.nn.Linear(64, 64, device=cuda, dtype=dtype)
        layer(torch.ones(8, 64, device=cuda, dtype=dtype)).sum().backward()
    torch.cuda.synchronize()


def make_streamer(device, hbm_bytes, host_bytes):
    """hbm_bytes are beyond what is on the device already."""
    if device.type == "cpu":
        pool = library.Pool(library.Library(), hbm_budget=64 * MIB, host_budget=host_bytes,
                            simulated_bytes=256 * MIB)
        return Streamer(devices.Cpu(), pool, hbm_bytes)
    gc.collect()
    torch.cuda.empty_cache()  # blocks that earlier tests cut to size count as larger than asked for
    pool = library.Pool(library.Library(), host_budget=host_bytes)
    return Streamer(devices.Cuda(0), pool, hbm_bytes + torch.cuda.memory_allocated(0))


@pytest.fixture
def stream(request, device):
    """stream(hbm_bytes): streaming is on until the test ends; `packing`: with packed copies."""
    patches, packings = [], []

    def start(hbm_bytes, host_bytes=512 * MIB, packing=False):
        streamer = make_streamer(device, hbm_bytes, host_bytes)
        way = request.config.getoption("--packing") or (WAYS[0] if packing else None)
        if way is not None:
            streamer.packing = Packing(streamer.pool, streamer.device, way, threads=1)
            packings.append(streamer.packing)
        patches.append(loading.install(streamer))
        return streamer

    torch.manual_seed(0)
    yield start
    for one in reversed(patches):
        one.remove()
    for packing in packings:
        packing.close()
