"""Products of the CPU's, by the shape of x, and when it stops taking part."""
import pytest
import torch

import models
from spillway.row_worker import RowWorker
from spillway.torch import cpu_rows
from spillway.torch.cpu_rows import CpuRows
from test_cpu_rows import WIDTH, error, model_of, rates, with_rows  # noqa: F401  a fixture


@pytest.mark.parametrize("dtype", cpu_rows.DTYPES)
def test_products_of_several_shapes_of_x(with_rows, device, dtype, monkeypatch):
    for name, value in {"MANY": 4, "MOST_PRODUCTS": 2}.items():
        monkeypatch.setattr(cpu_rows, name, value)
    model = model_of(dtype, bias=False)
    resident = models.resident_twin(model, device)
    _, jobs = with_rows(0.6)
    model.to(device)
    for shape in [(), (1,), (3,), (1, 1), (2, 2)] * 2:
        wide = torch.randn(*shape, 2 * WIDTH).to(device, dtype)
        for x in (wide[..., :WIDTH].contiguous(), wide[..., ::2]):
            with torch.no_grad():
                assert error(model(x), resident(x)) <= 1e-2
    assert jobs() > 0


@torch.no_grad()
def test_x_that_is_elsewhere_is_torchs_to_refuse(with_rows, device):
    model = model_of(torch.bfloat16)
    streamer, _ = with_rows(0.4)
    model.to(device)
    x = torch.randn(1, WIDTH).to(device, torch.bfloat16)
    model(x)
    weight = next(p.spillway_weight for p in model.parameters() if hasattr(p, "spillway_weight"))
    assert streamer.cpu_rows.takes_part(x, weight)
    assert not streamer.cpu_rows.takes_part(x.to("meta"), weight)


def test_when_it_is_closed_nothing_is_the_cpus_any_more(with_rows, device):
    model = model_of(torch.bfloat16)
    streamer, _ = with_rows(0.4)
    model.to(device)
    x = torch.randn(1, WIDTH).to(device, torch.bfloat16)
    with torch.no_grad():
        model(x)
        weights = [p.spillway_weight for p in model.parameters() if hasattr(p, "spillway_weight")]
        parts = [weight.gpu_rows for weight in weights]
        streamer.cpu_rows.close()
        other = RowWorker(streamer.pool, 1)
        streamer.cpu_rows = CpuRows(streamer.device, other, streamer.amounts, 0.6, rates())
        model(x)
    assert [weight.gpu_rows < part for weight, part in zip(weights, parts)] == [True] * len(parts)
    streamer.cpu_rows.close()
