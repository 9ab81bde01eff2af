"""Each argument of the joined operations finds its place in the library: what CudaKernels takes
from tensors, on a simulated GPU that reads the host's memory, against torch's own. No two arguments
of one kind are alike."""
import ctypes
import types

import pytest
import torch

from spillway import library
from spillway.fused import DOUBLING, HALVING
from spillway.torch.joined_kernels import DTYPES, CudaKernels

MIB = 1 << 20
EPSILON = 0.5
TOLERANCES = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}  # two roundings

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


class Waiting:
    """Kernels whose work has ended when they return."""

    def __init__(self, kernels, pool):
        self._kernels, self._pool = kernels, pool

    def __getattr__(self, name):
        def call(*arguments):
            getattr(self._kernels, name)(*arguments)
            self._wait()
        return call

    def _wait(self):
        """A region that the stream has pinned goes when the stream has come so far."""
        call, pin = self._pool.library.call, ctypes.c_void_p()
        region = self._pool.host_region(1, "mark")
        call("region_pin", region._handle, ctypes.c_uint64(0), ctypes.c_uint64(1), None,
             ctypes.byref(pin))
        call("unpin", pin)
        region.close()


@pytest.fixture(scope="module")
def kernels():
    pool = library.Pool(library.Library(), hbm_budget=16 * MIB, host_budget=16 * MIB,
                        simulated_bytes=64 * MIB)
    one = CudaKernels(pool, types.SimpleNamespace(device=torch.device("cpu"), stream=lambda: None))
    one._kernels = Waiting(one._kernels, pool)
    return one


def values(*shape, dtype, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_near(found, wanted):
    tolerance = TOLERANCES[wanted.dtype]
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def normed(x, weight):
    scaled = x.float() * torch.rsqrt(x.float().square().mean(-1, True) + EPSILON)
    return weight * scaled.to(x.dtype)


@each_dtype
def test_norm_of_rows(kernels, dtype):
    x, weight = values(1, 3, 20, dtype=dtype), values(20, dtype=dtype, seed=1)
    x *= torch.tensor([[1], [5], [20]])  # means of their own
    assert_near(kernels._norm_rows(x, weight, EPSILON), normed(x, weight))


@each_dtype
@pytest.mark.parametrize("order", [HALVING, DOUBLING])
def test_norm_of_one_row(kernels, dtype, order):
    x, weight = values(1, 1, 1028, dtype=dtype), values(1028, dtype=dtype, seed=1)
    assert_near(kernels._norm_row(x, weight, EPSILON, order), normed(x, weight))


def test_the_order_is_the_one_asked_for(kernels):
    x = torch.zeros(256)
    x[0], x[4], x[12] = 4096, 1, 1  # 2^24, which 1 does not change where it is added alone
    epsilon = 2.0 ** -7 - 2.0 ** 16  # takes away nearly all of the mean
    found = [kernels._norm_row(x, torch.ones(256), epsilon, order)[4].item()
             for order in (HALVING, DOUBLING)]
    assert found == pytest.approx([8, 128 ** 0.5])


def test_roots_are_tried_by_the_kernel(kernels):
    assert kernels._try_roots()  # 1 / sqrt, as torch has it on the CPU
    kernels._kernels.norm_rows, launch = lambda *_: None, kernels._kernels.norm_rows
    try:
        assert not kernels._try_roots()
    finally:
        kernels._kernels.norm_rows = launch


@each_dtype
def test_silu_times_a_factor(kernels, dtype):
    x, factor = (values(1, 1, 77, dtype=dtype, seed=seed) for seed in range(2))
    assert_near(kernels._silu_times(x, factor), torch.nn.functional.silu(x) * factor)


@each_dtype
def test_two_copies(kernels, dtype):
    one, other = (values(1, 2, 1, 6, dtype=dtype, seed=seed) for seed in range(2))
    there = torch.zeros(2, 16, dtype=dtype)
    assert kernels.copy_two(one, other, (there[0].data_ptr(), there[1].data_ptr()))
    assert torch.equal(there[:, :12], torch.stack((one.flatten(), other.flatten())))
    assert not there[:, 12:].any()
    assert not kernels.copy_two(there[0, :6].view(torch.uint8)[2:6], one, (0, 0))  # askew


@each_dtype
@pytest.mark.parametrize("angles", [1, 2])
def test_rotation(kernels, dtype, angles):
    q, k = (values(2, heads, 1, 6, dtype=dtype, seed=heads) for heads in (5, 3))
    cos, sin = (values(angles, 1, 6, dtype=dtype, seed=seed) for seed in range(2))

    def turned(x):
        half = torch.cat((-x[..., 3:], x[..., :3]), -1)
        return x * cos[:, None] + half * sin[:, None]
    for found, x in zip(kernels.rotate(q, k, cos, sin), (q, k)):
        assert torch.equal(found, turned(x))
