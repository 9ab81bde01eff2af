"""bench/dropin.py and dropin_tune.py on the CPU as a stand-in: each mode runs, its answers are
those of the resident model, and it says so where they are not. Their times mean nothing here."""
import json
import sys
from pathlib import Path

import pytest
import torch

from spillway.torch import cpu_attention, cpu_rates

pytest.importorskip("transformers")

BENCH = Path(__file__).resolve().parents[3] / "bench"
SHAPE = ("--stand-in --layers 6 --hidden 1024 --ffn 2048 --vocabulary 3000 --prompt 8 --tokens 3 "
         "--rounds 2 --link-bytes 1MiB --work 1MiB").split()
MODES = {"decode": "--hbm-budget 30MiB --check", "prefill": "--hbm-budget 30MiB --prompts 8 64",
         "logits": "", "large": "--hbm-budget 30MiB --host-budget 128MiB"}


TUNING = ("--stand-in --layers 1 --hidden 512 --ffn 1024 --vocabulary 1500 --prompt 4 --batch 1 "
          "--steps 4 --link-bytes 1MiB --host-budget 128MiB --work 1MiB").split()
TUNING_MODES = {"lora": "--hbm-budget 7MiB --deterministic", "full": ""}


@pytest.fixture
def dropin(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import dropin
    runs = []
    monkeypatch.setattr(dropin, "Run", lambda options, made=dropin.Run: runs.append(made(options))
                        or runs[-1])
    yield dropin
    for run in runs:
        if hasattr(run.where, "streamer"):
            run.where.disable()


def run(bench, words, monkeypatch, tmp_path):
    """What a bench says with these words. It ends with 0 where all is right, and only there."""
    file = tmp_path / "result.json"
    monkeypatch.setattr(sys, "argv", [bench.__file__, *words, "--json", str(file)])
    with pytest.raises(SystemExit) as end:
        bench.main()
    found = json.loads(file.read_text())
    assert found["ok"] == (end.value.code == 0)
    return found


def result(dropin, monkeypatch, mode, tmp_path, *more):
    return run(dropin, [mode, *SHAPE, *MODES[mode].split(), *more], monkeypatch, tmp_path)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode(dropin, monkeypatch, tmp_path, mode):
    found = result(dropin, monkeypatch, mode, tmp_path)
    assert found["ok"] and found["hbm_budget_holds"]
    checks = [key for key in found if "equal" in key or "batch" in key]
    assert len(checks) == {"decode": 2, "prefill": 2, "logits": 20, "large": 0}[mode]
    if mode != "logits":
        assert found["hbm_most"] > 20 << 20
    if mode in ("decode", "large"):
        assert found["streamed_bytes"] > 0 and len(found["decode_ms"]) == 2


def test_answers_that_differ_are_no_success(dropin, monkeypatch, tmp_path):
    original = dropin.answers
    calls = []

    def answers(model, ids):
        calls.append(ids)
        found = original(model, ids)
        return found if len(calls) == 1 else [part + 1 for part in found]

    monkeypatch.setattr(dropin, "answers", answers)
    found = result(dropin, monkeypatch, "decode", tmp_path)
    assert not found["ok"] and not found["logits_equal_resident"]


def test_a_budget_that_is_broken_is_no_success(dropin, monkeypatch, tmp_path):
    monkeypatch.setattr(dropin.setup.StandIn, "hbm_bytes", lambda self: 31 << 20)
    found = result(dropin, monkeypatch, "large", tmp_path)
    assert not found["ok"] and not found["hbm_budget_holds"]


@pytest.fixture
def little(monkeypatch):
    """Enough for the CPU to attend to, and for rates to be measured with."""
    monkeypatch.setattr(cpu_attention, "LEAST_BYTES", 1)
    monkeypatch.setattr(cpu_rates, "CHUNK_BYTES", 1 << 20)


@pytest.mark.parametrize(("mode", "checks"), [
    ("decode --noise", 3), ("decode --cpu-attention 0.6 --shares 0.4", 3), ("restore", 4)])
def test_a_kv_cache_beyond_hbm(dropin, little, monkeypatch, tmp_path, mode, checks):
    import dropin_kv
    words = (f"{mode} --stand-in --layers 6 --hidden 256 --ffn 256 --vocabulary 300 --context 200 "
             f"--chunk 90 --tokens 4 --link-bytes 1MiB --work 1MiB --hbm-budget 7.2MiB "
             f"--large-budget 200MiB --host-budget 128MiB")
    found = run(dropin_kv, words.split(), monkeypatch, tmp_path)
    assert found["ok"] and found["hbm_budget_holds"]
    assert len([key for key in found if "equal" in key or "all_" in key]) == checks
    if mode != "restore":
        assert found["kv_bytes"][1] > 0
    assert ("share_0.4" in found and min(found["relative_error"]) > 0) == ("cpu" in mode)


def test_where_the_time_of_tokens_goes(dropin, little, monkeypatch, tmp_path):
    import dropin_kv_tokens
    words = ("--again 2 --every 1 --cpu-attention 0.6 --stand-in --layers 4 --hidden 256 --ffn 256 "
             "--vocabulary 300 --context 200 --chunk 90 --tokens 3 --link-bytes 1MiB --work 1MiB "
             "--hbm-budget 5.5MiB --host-budget 128MiB")
    found = run(dropin_kv_tokens, words.split(), monkeypatch, tmp_path)
    assert found["ok"] and len(found["the_first_tokens"]) == 3
    for rows in (found["the_first_tokens"], found["again"], found["with_that_share_given"]):
        assert all(row["ms"] >= row["launch"] > 0 < row["attend"] and row["copied"] > 0
                   and row["host_MiB"] > 0 for row in rows)


def test_joined_steps_in_turns_with_torchs_own(dropin, monkeypatch, tmp_path):
    import dropin_joined
    monkeypatch.setattr(dropin_joined, "CALLS", 10)
    found = run(dropin_joined, [*SHAPE, "--hbm-budget", "30MiB"], monkeypatch, tmp_path)
    assert found["ok"] and found["answers_are_equal"]
    for way in dropin_joined.WAYS:
        assert len(found[f"decode_ms_{way}"]) == 2 and found[f"rotation_us_{way}"] > 0


def test_in_turns_with_accelerate(dropin, monkeypatch, tmp_path):
    pytest.importorskip("accelerate")
    if torch.cuda.is_available():
        pytest.skip("the peer would take the GPU, and the stand-in has none")
    found = result(dropin, monkeypatch, "decode", tmp_path, "--peer", "--peer-tokens", "2")
    assert found["ok"] and "times_faster" in found and len(found["accelerate_ms"]) == 2


@pytest.fixture
def tune(monkeypatch, dropin):
    import dropin_tune
    monkeypatch.setattr(dropin_tune, "CPU_ELEMENTS", 1 << 12)
    yield dropin_tune
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


def tuned(tune, monkeypatch, mode, tmp_path):
    return run(tune, [mode, *TUNING, *TUNING_MODES[mode].split()], monkeypatch, tmp_path)


@pytest.mark.parametrize("mode", TUNING_MODES)
def test_each_kind_of_tuning(tune, monkeypatch, tmp_path, mode):
    if mode == "lora":
        pytest.importorskip("peft", exc_type=ImportError)
    found = tuned(tune, monkeypatch, mode, tmp_path)
    assert found["ok"] and found["losses"][-1] != found["losses"][0] and found["of_bound"] > 0
    assert found["streamed_bytes" if mode == "lora" else "in_host_bytes"] > 0


def test_tuning_that_differs_is_no_success(tune, monkeypatch, tmp_path):
    original, calls = tune.train, []

    def train(*arguments):
        calls.append(original(*arguments))
        calls[-1].losses[-1] += len(calls) / 100
        return calls[-1]

    monkeypatch.setattr(tune, "train", train)
    found = tuned(tune, monkeypatch, "full", tmp_path)
    assert not found["ok"] and not found["losses_within_1e_3"]
