"""A streamer on the CPU: the ring, the homes and the patches are those of a GPU."""
import pytest
import torch

from spillway import library
from spillway.torch import devices, loading
from spillway.torch.streamer import Streamer

MIB = 1 << 20


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
