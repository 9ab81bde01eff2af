"""The programs of examples/torch."""
import os
import re
import runpy
import subprocess
import sys

import pytest

import spillway.torch
from models import MIB
from models_on_disk import WORDS, save_llama
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

    def enable(hbm_budget, host_budget, work=None):
        state["streamer"] = stream(int(hbm_budget), int(host_budget))

    pipeline = transformers.pipeline
    monkeypatch.setattr(spillway.torch, "enable", enable)
    monkeypatch.setattr(spillway.torch, "report",
                        lambda *models: reporting.report(state["streamer"], models or None))
    # transformers puts another object in its own place while it loads what is asked for.
    monkeypatch.setattr(sys.modules["transformers"], "pipeline",
                        lambda task, device, **options: pipeline(
                            task, device=state["streamer"].device.device, **options))


def words_of(table):
    """In one line: tables break theirs anywhere."""
    return " ".join(table.replace("|", " ").split())


@pytest.mark.usefixtures("on_standin")
def test_the_mountain(monkeypatch, tmp_path, capsys):
    save_llama(tmp_path)
    run(monkeypatch, "mountain.py", tmp_path, "--hbm-budget", 12 * MIB, "--host-budget", 64 * MIB)
    answer, _, table = capsys.readouterr().out.partition("+---")
    assert answer.strip() and "model.layers.0-3.mlp.up_proj.weight" in table
    hits = re.search(r"([\d,]+) weights came ahead of use", words_of(table))
    assert int(hits[1].replace(",", "")) > 0


@pytest.mark.usefixtures("on_standin")
@pytest.mark.standin("the trainer takes the GPU that torch sees")
def test_lora_on_a_text(monkeypatch, tmp_path, capsys):
    peft = pytest.importorskip("peft", exc_type=ImportError)
    save_llama(tmp_path / "model")
    (tmp_path / "text").write_text(" ".join(WORDS * 8))
    run(monkeypatch, "lora.py", tmp_path / "model", tmp_path / "text", tmp_path / "out",
        "--hbm-budget", 12 * MIB, "--host-budget", 64 * MIB, "--steps", 3, "--tokens", 8)
    text = capsys.readouterr().out
    first, *_, last = re.findall(r"'loss': '([\d.]+)'", text)
    assert float(last) < float(first) and "came ahead of use" in words_of(text)
    assert peft.PeftConfig.from_pretrained(tmp_path / "out").r == 16
    assert not list((tmp_path / "out").glob("model*"))


def test_the_plan_of_70b_is_that_of_its_shape(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "llama70b.py", "--plan-only", "--link", "54GB")
    assert not ended.value.code
    text = capsys.readouterr().out
    assert "model.layers.0-79.mlp.down_proj.weight" in text and "54.0 GB/s" in text


def succeeds(name, *words):
    """What the example prints, in a process of its own, with enable() itself."""
    done = subprocess.run([sys.executable, EXAMPLES / name, *map(str, words)], text=True,
                          env={**os.environ, "PYTHONPATH": str(TESTS.parent)}, timeout=300,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("on_standin")
def test_the_document(monkeypatch, tmp_path, capsys):
    """Read, saved and asked; then asked again without reading; another document is refused."""
    model = save_llama(tmp_path / "model")
    text = tmp_path / "text"
    text.write_text(" ".join(WORDS * 20))
    words = ["document.py", model, text, "which mountain ?", "--session", tmp_path / "session",
             "--chunk", 50, "--answer", 8, "--hbm-budget", 12 * MIB, "--host-budget", 64 * MIB]
    found = []
    for what in ("read", "restored"):
        run(monkeypatch, *words)
        first, answer, table = capsys.readouterr().out.split("\n", 2)
        assert re.match(rf"2\d\d tokens {what} in", first)
        found.append((answer, table))
    assert found[0][0] == found[1][0] and found[0][0].strip()
    assert re.search("4 layers, [1-4] of them in the host", words_of(found[0][1]))
    text.write_text(" ".join(WORDS * 2))
    with pytest.raises(SystemExit, match="session of another document"):
        run(monkeypatch, *words)


@pytest.mark.gpu
def test_a_small_one_of_that_shape_runs():
    text = succeeds("llama70b.py", "--layers", 4, "--hidden", 1024, "--ffn", 4096, "--vocabulary",
                    4096, "--hbm-budget", spillway.torch.WORK_BYTES + 80 * MIB,
                    "--host-budget", "1GiB")
    assert "spillway.torch plan" in text and "spillway.torch report" in text
    assert "came ahead of use" in words_of(text)


@pytest.mark.gpu
def test_the_mountain_with_enable_itself(tmp_path):
    save_llama(tmp_path, hidden=1024)
    text = succeeds("mountain.py", tmp_path, "--hbm-budget",
                    spillway.torch.WORK_BYTES + 60 * MIB, "--host-budget", "1GiB")
    assert "spillway.torch report" in text and "came ahead of use" in words_of(text)
