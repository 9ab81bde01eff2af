"""enable() and `python -m spillway.torch`: what they refuse, how, and what they run."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spillway.torch
from spillway.torch import __main__ as command
from spillway.torch.sizes import format_size, parse_size

PACKAGE = Path(spillway.torch.__file__).parents[2]
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said without a GPU")


def run(*words, folder=None, **variables):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "CUDA_VISIBLE_DEVICES": "",
                   **variables}
    return subprocess.run([sys.executable, "-m", "spillway.torch", *map(str, words)], text=True,
                          env=environment, capture_output=True, cwd=folder)


@pytest.fixture
def enabled(monkeypatch):
    """Calls of enable(), which does nothing."""
    calls = []
    monkeypatch.setattr(spillway.torch, "enable",
                        lambda *budgets, cpu_rows, cpu_attention, packing: calls.append(
                            (*budgets, cpu_rows, cpu_attention, packing)))
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return calls


@pytest.mark.parametrize("text, size", [
    ("12GiB", 12 << 30), ("1.5GB", 1_500_000_000), ("800MiB", 800 << 20), ("7", 7),
    (" 3 kib ", 3072), (5, 5), (None, None)])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "12 apples", "GiB", "-1GiB", "1,5GB", -3, 1.5j])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_sizes_are_written_in_the_largest_unit():
    assert format_size(3 << 30) == "3.0 GiB" and format_size(12) == "12 B"


def test_enable_names_the_size_that_is_wrong(monkeypatch):
    with pytest.raises(ValueError, match="host_budget: 'much' is not a size"):
        spillway.torch.enable("12GiB", "much")
    monkeypatch.setenv("SPILLWAY_HBM_BUDGET", "all")
    with pytest.raises(ValueError, match="SPILLWAY_HBM_BUDGET: 'all' is not a size"):
        spillway.torch.enable()


def test_a_budget_that_leaves_nothing_for_weights():
    with pytest.raises(ValueError, match="512.0 MiB, of which 640.0 MiB"):
        spillway.torch.weights_bytes(512 << 20, 640 << 20)


def test_enable_twice(monkeypatch):
    monkeypatch.setattr(spillway.torch, "_active", object())
    with pytest.raises(RuntimeError, match="disable"):
        spillway.torch.enable("12GiB")


def test_what_is_not_enabled():
    spillway.torch.disable()
    assert "not enabled" in str(spillway.torch.report())


@no_gpu
def test_no_gpu_puts_the_cpu_in_its_place():
    spillway.torch.enable("12GiB", "1GiB")
    try:
        with pytest.warns(RuntimeWarning, match="asks for cuda.*no GPU"):
            assert torch.zeros(2, device="cuda").device.type == "cpu"
        assert "disk: 0 B of weights" in str(spillway.torch.report())
    finally:
        spillway.torch.disable()
    assert not isinstance(torch.nn.Parameter.__dict__.get("data"), property)
    assert torch.zeros.__module__ != "spillway.torch.redirect"


@pytest.mark.parametrize("words, says", [
    ([], "name the script"), (["-m"], "name the script"), (["--hbm-budget"], "expected one"),
    (["--budget", "1GiB", "x.py"], "unrecognized"), (["no_such.py"], "there is no no_such.py"),
    (["--hbm-budget", "lots", __file__], "hbm_budget: 'lots' is not a size"),
    (["--packing", "some", __file__], "packing is 'some'")])
def test_usage_errors_exit_with_2(capsys, words, says):
    with pytest.raises(SystemExit) as stopped:
        command.main(words)
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_the_script_sees_its_own_arguments_and_folder(enabled, tmp_path, capsys):
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    script = tmp_path / "app.py"
    script.write_text("import sys, beside; print(__name__, sys.argv[1:], beside.NAME)")
    command.main(["--hbm-budget", "12GiB", "--host-budget=1GiB", "--cpu-rows", "auto",
                  "--cpu-attention=0.5", "--packing",
                  "off", str(script), "--hbm-budget", "x"])
    assert capsys.readouterr().out == "__main__ ['--hbm-budget', 'x'] beside\n"
    assert enabled == [("12GiB", "1GiB", "auto", "0.5", "off")]


def test_a_module_runs_as_well(enabled, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "an_app.py").write_text("import sys; print(sys.argv[1:])")
    command.main(["-m", "an_app", "-n", "3"])
    assert capsys.readouterr().out == "['-n', '3']\n"
    assert enabled == [(None, None, "off", "off", None)]


def test_without_the_library(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("SPILLWAY_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(SystemExit) as stopped:
        command.main(["--hbm-budget", "1GiB", __file__])
    said = capsys.readouterr().err
    assert stopped.value.code == 5 and "none.so" in said and "SPILLWAY_LIBRARY" in said


def test_without_a_gpu(tmp_path):
    script = tmp_path / "asks.py"
    script.write_text("import torch\nprint(torch.ones(3).cuda().sum().item())\n")
    done = run("--host-budget", "1GiB", script)
    assert done.returncode == 0 and done.stdout == "3.0\n", done.stderr
    assert "torch sees no GPU" in done.stderr
    done = run("--host-budget", "0", script)
    assert done.returncode == 2 and "host_budget is 0 B" in done.stderr
    assert "Traceback" not in done.stderr
