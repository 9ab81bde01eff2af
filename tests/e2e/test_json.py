"""What the program says to other programs: JSON that parses, and plans that are deterministic."""
import json
import struct

import pytest

import files
from gguf_layout import read_layout


def numbers_in(value):
    """Every list of numbers within a JSON value."""
    if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)


def test_tokenize(spillway, model):
    ids = spillway.generate(model, files.passage(), "--raw", "-n", "1").stats["prompt_token_ids"]
    assert ids in list(numbers_in(spillway.json("tokenize", model, files.passage())))


def test_inspect(spillway, model):
    found = spillway.json("inspect", model)
    text = str(found)
    for fact in ("llama", "49152", "272", "Q4_1", "Q8_0"):
        assert fact in text, f"no {fact} in {text[:2000]}"


def test_inspect_prints_no_control_bytes(spillway, tmp_path):
    """A name in a file may hold a terminal's escape sequences."""
    path = tmp_path / "names.gguf"
    key, tensor = b"\x1b]0;owned\x07", b"\x1b[2J\x9b31m"

    def text(value):
        return struct.pack("<Q", len(value)) + value

    header = (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(key) + struct.pack("<I", 8) + text(key)
              + text(tensor) + struct.pack("<IQIQ", 1, 8, 0, 0))
    path.write_bytes(header + bytes(-len(header) % 32) + bytes(32))
    run = spillway.run("inspect", path)
    assert run.code == 0, run
    shown = run.out.decode()
    assert "\\x1b[2J" in shown and "\\x1b]0;owned" in shown
    assert all(c == "\n" or c.isprintable() for c in shown), repr(shown)


def test_machine(spillway):
    assert spillway.json("machine")


@pytest.fixture
def machine_file(spillway, tmp_path):
    path = tmp_path / "machine.json"
    run = spillway.run("machine", "--save", path)
    assert run.code == 0 and path.stat().st_size > 2, run
    return path


@pytest.mark.parametrize("budget", ["48MiB", "64MiB", "1GiB"])
def test_plans_are_deterministic(spillway, model, machine_file, budget):
    arguments = ["plan", model, "--host-budget", budget, "--machine", machine_file]
    plans = [spillway.run(*arguments, *extra) for extra in ([], [], ["--json"], ["--json"])]
    assert all(plan.code == 0 for plan in plans), plans[0]
    assert plans[0].out == plans[1].out and plans[2].out == plans[3].out


def test_a_plan_says_where_each_slice_lives(spillway, model, machine_file):
    plan = json.loads(spillway.run("plan", model, "--host-budget", "64MiB", "--machine",
                                   machine_file, "--json").out)
    slices = plan["slices"]
    assert len(slices) == plan["slice_count"] > 200
    assert sum(s["size_bytes"] for s in slices) == plan["weight_bytes"]
    assert {s["tier"] for s in slices} == {"host", "disk"}
    assert all(s["transport"] == {"host": "resident", "disk": "ring"}[s["tier"]] for s in slices)
    streamed = sum(g["streamed_bytes"] for g in plan["groups"])
    assert sum(s["size_bytes"] for s in slices if s["tier"] == "disk") == streamed
    rows = sum(s["rows"] for s in slices if s["weight"] == "blk.0.ffn_down.weight")
    assert rows == 576  # of SmolLM2


def test_a_plan_loads_nothing(spillway, model, machine_file):
    run = spillway.run("plan", model, "--host-budget", "64MiB", "--machine", machine_file)
    assert run.code == 0, run
    assert run.peak_rss < read_layout(model).weights // 2, run


def test_a_plan_on_a_broken_machine_file(spillway, model, tmp_path, check_error):
    path = tmp_path / "machine.json"
    for text in ("", "{", "[]", '{"disk": -1}', "null"):
        path.write_text(text)
        run = spillway.run("plan", model, "--host-budget", "64MiB", "--machine", path)
        check_error(run, 3, path)


def test_stats_name_what_was_used(spillway, model):
    stats = spillway.generate(model, "Hello", "-n", "4", "--host-budget", "64MiB").stats
    assert len(stats["token_ids"]) == 4 and stats["peak_host_bytes"] > 1 << 20
    text = str(stats)
    for word in ("weights", "kv", "activations", "staging", "vocabulary", "tokens_per_second",
                 "bound"):
        assert word in text, f"no {word} in {text[:2000]}"


def test_bench_decode(spillway, model):
    found = spillway.json("bench", "decode", model, "--host-budget", "64MiB", "-n", "8")
    for key in ("tokens_per_second", "bound_tokens_per_second", "share_of_bound",
                "predicted_tokens_per_second", "bytes_by_tier"):
        assert key in found, found
    share = found["tokens_per_second"] / found["bound_tokens_per_second"]
    assert found["share_of_bound"] == pytest.approx(share, rel=0.02)


def test_bench_decode_in_turns(spillway, model):
    found = spillway.json("bench", "decode", model, "-n", "4", "--rounds", "2")
    assert found["bytes_by_tier"]["disk"] == 0
    token_bytes = found["plan"]["weight_bytes"]
    assert len(found["turns"]) == 2  # four tokens read less than the buffer: one turn a round
    for turn in found["turns"]:
        rates = [turn["share_of_bound"] * read for read in turn["read_bytes_per_second"]]
        assert any(rate == pytest.approx(turn["tokens_per_second"] * token_bytes, rel=0.01)
                   for rate in rates), turn
    shares = [turn["share_of_bound"] for turn in found["turns"]]
    assert found["share_of_bound"] == pytest.approx(sum(shares) / 2)
    assert found["dram_bytes_per_second"] == pytest.approx(
        found["bound_tokens_per_second"] * token_bytes, rel=0.01)
