"""The programs of examples/torch."""
import os
import re
import runpy
import subprocess
import sys

import pytest

import spillway.torch
from models import MIB
from models_on_disk import save_llama
from processes import TESTS
from spillway.torch import reporting

transformers = pytest.importorskip("transformers")
EXAMPLES = TESTS.parents[2] / "examples" / "torch"


def run(monkeypatch, name, *words):
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture
def on_standin(monkeypatch, stream, device):
    """enable() streams on the tests' device, within the budget that it is given, and pipelines are
    made there."""
    state = {}

    def enable(hbm_budget, host_budget):
        state["streamer"] = stream(int(hbm_budget), int(host_budget))

    pipeline = transformers.pipeline
    monkeypatch.setattr(spillway.torch, "enable", enable)
    monkeypatch.setattr(spillway.torch, "report",
                        lambda *models: reporting.report(state["streamer"], models or None))
    # transformers puts another object in its own place while it loads what is asked for.
    monkeypatch.setattr(sys.modules["transformers"], "pipeline",
                        lambda task, device, **options: pipeline(
                            task, device=state["streamer"].device.device, **options))


@pytest.mark.usefixtures("on_standin")
def test_the_mountain(monkeypatch, tmp_path, capsys):
    save_llama(tmp_path)
    run(monkeypatch, "mountain.py", tmp_path, "--hbm-budget", 12 * MIB, "--host-budget", 64 * MIB)
    answer, _, table = capsys.readouterr().out.partition("+---")
    assert answer.strip() and "model.layers.0-3.mlp.up_proj.weight" in table
    hits = re.search(r"([\d,]+) weights came ahead of use", table)
    assert int(hits[1].replace(",", "")) > 0


def test_the_plan_of_70b_is_that_of_its_shape(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "llama70b.py", "--plan-only", "--link", "54GB")
    assert not ended.value.code
    text = capsys.readouterr().out
    assert "model.layers.0-79.mlp.down_proj.weight" in text and "54.0 GB/s" in text


@pytest.mark.gpu
def test_a_small_one_of_that_shape_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "llama70b.py", "--layers", "4", "--hidden", "1024", "--ffn",
         "4096", "--hbm-budget", "1200MiB", "--host-budget", "1GiB"], text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "spillway.torch plan" in done.stdout and "spillway.torch report" in done.stdout


@pytest.mark.gpu
def test_the_mountain_with_enable_itself(tmp_path):
    save_llama(tmp_path, hidden=1024)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "mountain.py", tmp_path, "--hbm-budget", "680MiB",
         "--host-budget", "1GiB"], text=True, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)})
    assert done.returncode == 0, done.stderr
    assert "spillway.torch report" in done.stdout and "came ahead of use" in done.stdout
