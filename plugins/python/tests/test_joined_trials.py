"""Before a kernel takes the place of torch's, it is tried out: one that computes other bits is not
used."""
import types

import pytest
import torch

from spillway.fused import DOUBLING
from spillway.torch import joined_kernels
from spillway.torch.joined_kernels import DTYPES, CudaKernels

EPSILON = 1e-5


class OnCpu(CudaKernels):
    """As torch computes, but for what `spoil` does to the results of one kernel, by its name."""

    def __init__(self, **spoil):
        super().__init__(None, types.SimpleNamespace(device=torch.device("cpu")))
        self._spoil = spoil
        self.launched = dict.fromkeys(("norm_row", "norm_rows", "silu_times"), 0)

    def _as_it_is(self, kernel, y):
        self.launched[kernel] += 1
        return self._spoil.get(kernel, lambda y: y)(y)

    def _norm_row(self, x, weight, epsilon, order):
        y = weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))
        y = y if order == DOUBLING else torch.nextafter(y, y + 1)
        return self._as_it_is("norm_row", y)

    def _norm_rows(self, x, weight, epsilon):
        return self._norm_by_means(x, x.float().square().mean(-1, True), weight, epsilon)

    def _norm_by_means(self, x, means, weight, epsilon):
        scaled = x.float() * torch.rsqrt(means.view(-1, 1) + epsilon)
        return self._as_it_is("norm_rows", weight * scaled.to(x.dtype))

    def _silu_times(self, x, factor):
        return self._as_it_is("silu_times", torch.nn.functional.silu(x) * factor)


@pytest.fixture(autouse=True)
def without_a_library(monkeypatch):
    monkeypatch.setattr(joined_kernels, "Kernels", lambda pool: None)


def silu(kernels, dtype):
    return kernels.silu_times(torch.ones(1, 1, 8, dtype=dtype), torch.ones(1, 1, 8, dtype=dtype))


def norm(kernels, rows, columns=8, dtype=torch.float32):
    return kernels.norm(torch.ones(1, rows, columns, dtype=dtype), torch.ones(columns, dtype=dtype),
                        EPSILON)


def one_last_place(y):
    """Of a single number."""
    bits = y.contiguous().view(joined_kernels.BITS[y.dtype])
    bits.view(-1)[bits.numel() // 3] += 1
    return bits.view(y.dtype)


def zeros_without_a_sign(y):
    return torch.where(y == 0, 0.0, y)


# -- What is tried

@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_all_sizes_are_tried(dtype):
    numbers = OnCpu()._numbers(dtype)
    assert numbers.dtype is dtype and numbers.isfinite().all() and numbers.nbytes <= 1 << 20
    info = torch.finfo(dtype)
    if dtype is torch.float32:
        assert torch.frexp(numbers)[1].unique().numel() >= 254
        assert (numbers > 0).sum() > 130_000 and (numbers < 0).sum() > 130_000
    else:
        exponents = {torch.bfloat16: 255, torch.float16: 31}[dtype]
        finite = (1 << 16) // (exponents + 1) * exponents
        assert numbers.view(torch.int16).unique().numel() == finite
    assert numbers.abs().max() > info.max / 2 and numbers.abs().min() < info.tiny


# -- And what becomes of it

@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_that_agree_are_tried_once_and_used(dtype):
    kernels = OnCpu()
    for _ in range(3):
        assert silu(kernels, dtype) is not None and norm(kernels, 2, dtype=dtype) is not None
    assert kernels.launched == {"norm_row": 0, "norm_rows": 1 + 3, "silu_times": 1 + 3}


@pytest.mark.parametrize("spoil", [one_last_place, zeros_without_a_sign])
@pytest.mark.parametrize("dtype", DTYPES)
def test_silu_of_other_bits_is_torchs(dtype, spoil):
    kernels = OnCpu(silu_times=lambda y: spoil(y) if y.dtype is dtype else y)
    for _ in range(3):
        for each in DTYPES:
            assert (silu(kernels, each) is None) == (each is dtype)
    assert kernels.launched["silu_times"] == 1 + 2 * (1 + 3)
    assert norm(kernels, 2) is not None


def test_norms_with_another_root_are_torchs():
    kernels = OnCpu(norm_rows=one_last_place)
    for rows, columns in [(1, 8), (2, 8), (1, 512)]:
        assert norm(kernels, rows, columns) is None
    assert kernels.launched == {"norm_row": 0, "norm_rows": 1, "silu_times": 0}
    assert silu(kernels, torch.float32) is not None


def test_what_is_torchs_is_told():
    kernels = OnCpu(norm_rows=one_last_place, silu_times=one_last_place)
    assert kernels.left_to_torch() == []
    for dtype in (torch.float32, torch.bfloat16):
        silu(kernels, dtype)
        norm(kernels, 2, dtype=dtype)
    assert kernels.left_to_torch() == ["SiLU of float32", "norms", "SiLU of bfloat16"]
    agreeing = OnCpu()
    assert silu(agreeing, torch.float32) is not None and agreeing.left_to_torch() == []


def test_a_trial_without_memory_leaves_it_to_torch():
    def none_left(_):
        raise torch.OutOfMemoryError("none left")

    kernels = OnCpu(norm_rows=none_left, silu_times=none_left)
    for _ in range(3):
        assert silu(kernels, torch.float32) is None and norm(kernels, 2) is None
    assert kernels.launched == {"norm_row": 0, "norm_rows": 1, "silu_times": 1}
    kernels = OnCpu(norm_row=none_left)
    for _ in range(3):
        assert norm(kernels, 1, columns=512) is not None
    assert kernels.launched == {"norm_row": 1, "norm_rows": 1 + 3, "silu_times": 0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("default", ["cpu", "meta"])
def test_trials_come_out_the_same_whatever_tensors_are_made_of(dtype, default):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(default), torch.no_grad():
            kernels = OnCpu()
            assert kernels._order(512) == DOUBLING
            assert kernels._try_roots() and all(map(kernels._try_silu, DTYPES))
            assert not OnCpu(silu_times=one_last_place)._try_silu(torch.bfloat16)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.gpu
@torch.no_grad()
def test_kernels_compute_as_torch_does(stream, monkeypatch):
    monkeypatch.undo()
    streamer = stream(64 << 20)
    kernels = streamer.device.joined_kernels(streamer.pool)
    for columns in (256, 576, 2048, 5120, 8192, 65536):
        assert kernels._order(columns) is not None, columns
    assert kernels._order(258) is None and kernels._order(128) is None
    assert kernels._try_roots()
    for dtype in DTYPES:
        assert kernels._try_silu(dtype), dtype
