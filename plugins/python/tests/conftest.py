"""A streamer on the CPU: the ring, the homes and the patches are those of a GPU."""
import pytest
import torch

from spillway import library
from spillway.torch import devices, loading
from spillway.torch.streamer import Streamer

MIB = 1 << 20


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="the slow tests, too")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes a minute; runs with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow; pytest --slow runs it"))


@pytest.fixture
def stream():
    """stream(hbm_bytes): streaming is on until the test ends."""
    patches = []

    def start(hbm_bytes, host_bytes=512 * MIB):
        pool = library.Pool(library.Library(), hbm_budget=64 * MIB, host_budget=host_bytes,
                            simulated_bytes=256 * MIB)
        streamer = Streamer(devices.Cpu(), pool, hbm_bytes)
        patches.append(loading.install(streamer))
        return streamer

    torch.manual_seed(0)
    yield start
    for one in reversed(patches):
        one.remove()
