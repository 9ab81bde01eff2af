"""What cannot be meant is refused before anything runs: exit code 2; 4 for a budget too small."""
import json
import re

import pytest

USAGE, BUDGET = 2, 4
QUESTION = "Which is the tallest mountain in the world?"

WRONG = {
    "no command": [],
    "unknown command": ["fly"],
    "unknown flag": ["run", "MODEL", "x", "--wings", "2"],
    "no model": ["run"],
    "no text": ["run", "MODEL"],
    "too many words": ["run", "MODEL", "x", "y"],
    "size without number": ["run", "MODEL", "x", "--host-budget", "lots"],
    "size of an unknown unit": ["run", "MODEL", "x", "--host-budget", "12parsecs"],
    "empty size": ["run", "MODEL", "x", "--host-budget", ""],
    "negative size": ["run", "MODEL", "x", "--host-budget", "-5MiB"],
    "size not a number": ["run", "MODEL", "x", "--host-budget", "nan"],
    "size infinite": ["run", "MODEL", "x", "--host-budget", "inf"],
    "size past 64 bits": ["run", "MODEL", "x", "--host-budget", "99999999EiB"],
    "nonsense in weights": ["run", "MODEL", "x", "--weights-budget", "1.2.3GiB"],
    "no value": ["run", "MODEL", "x", "--host-budget"],
    "no threads": ["run", "MODEL", "x", "--threads", "0"],
    "negative threads": ["run", "MODEL", "x", "--threads", "-1"],
    "threads a word": ["run", "MODEL", "x", "--threads", "two"],
    "negative n": ["run", "MODEL", "x", "-n", "-3"],
    "negative temperature": ["run", "MODEL", "x", "--temperature", "-1"],
    "temperature not a number": ["run", "MODEL", "x", "--temperature", "nan"],
    "top-p above one": ["run", "MODEL", "x", "--top-p", "2"],
    "no context": ["run", "MODEL", "x", "--context", "0"],
    "no chunk": ["run", "MODEL", "x", "--prompt-chunk", "0"],
    "unknown kv type": ["run", "MODEL", "x", "--kv", "f64"],
    "bench of nothing": ["bench", "sing", "MODEL"],
    "bench of no measurement": ["bench", "memory", "--simulated", "1GiB", "--only"],
    "perplexity of no context": ["perplexity", "MODEL", __file__, "--context", "1"],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage(spillway, model, check_error, name):
    arguments = [model if word == "MODEL" else word for word in WRONG[name]]
    check_error(spillway.run(*arguments, seconds=10), USAGE)


def test_an_unknown_measurement_is_answered_with_their_names(spillway, check_error):
    run = spillway.run("bench", "memory", "--simulated", "1GiB", "--only", "wings", seconds=10)
    check_error(run, USAGE, "wings", "copies", "moves", "commits", "pinned", "allocator", "moving")


def test_only_the_measurements_named_are_made(spillway):
    run = spillway.run("bench", "memory", "--simulated", "1GiB", "--bytes", "64MiB", "--rounds",
                       "1", "--only", "pinned", "copies", "--json")
    assert run.code == 0, run
    assert [figure["name"].split(",")[0] for figure in json.loads(run.out)] == [
        "copy engine", "copy engine", "64.0 MiB of pinned memory on huge pages"]


def test_every_measurement_on_a_simulated_gpu(spillway):
    run = spillway.run("bench", "memory", "--simulated", "2GiB", "--bytes", "64MiB", "--rounds",
                       "1", "--seconds", "0.2", "--json", seconds=100)
    assert run.code == 0, run
    figures = json.loads(run.out)
    for start in ("move to HBM", "move to host", "new extents of 2.0 MiB in HBM",
                  "new extents of 32.0 MiB in host, filled", "64.0 MiB of pinned", "allocate"):
        found = [figure for figure in figures if figure["name"].startswith(start)]
        assert found and all(figure["share_of_bound"] > 0 for figure in found), (start, figures)
    moving = {figure["name"].split(": ")[1]: figure for figure in figures
              if ": " in figure["name"]}
    assert moving["wrong words"]["value"] == 0
    assert moving["extents moved"]["value"] > 0
    assert moving["HBM charged at most"]["share_of_bound"] <= 1


@pytest.mark.parametrize("command", [["run", "MODEL", "x"], ["plan", "MODEL"]])
def test_an_hbm_budget_needs_a_gpu_engine(spillway, model, check_error, command):
    arguments = [model if word == "MODEL" else word for word in command]
    run = spillway.run(*arguments, "--hbm-budget", "1GiB", seconds=10)
    check_error(run, USAGE, "--hbm-budget", "GPU")


def test_kernels_are_chosen_by_name(spillway, model, check_error):
    spillway.environment["SPILLWAY_KERNELS"] = "AVX9"
    run = spillway.run("run", model, "x", seconds=10)
    check_error(run, USAGE, "SPILLWAY_KERNELS", "AVX9", "scalar")
    spillway.environment["SPILLWAY_KERNELS"] = run.err.split("has ")[1].split(",")[-2].strip()
    assert spillway.run("run", model, QUESTION, "-n", "2").code == 0


@pytest.mark.parametrize("budget", ["0", "1B", "1KiB", "5MiB"])
def test_a_budget_too_small_names_the_least_that_would_do(spillway, model, check_error, budget):
    run = spillway.run("run", model, QUESTION, "--host-budget", budget, seconds=10)
    check_error(run, BUDGET)
    assert re.search(r"[0-9.]+ MiB", run.err), run


def test_the_least_budget_does_run(spillway, model, check_error):
    """The size that the message names is enough, and one a tenth below is not."""
    arguments = ["run", model, QUESTION, "-n", "4", "--host-budget"]
    refused = spillway.run(*arguments, "1MiB", seconds=10)
    check_error(refused, BUDGET)
    sizes = [float(size) for size in re.findall(r"([0-9.]+) MiB", refused.err)]
    least = max(size for size in sizes)
    assert spillway.run(*arguments, f"{least + 0.1:.1f}MiB").code == 0, refused
    check_error(spillway.run(*arguments, f"{least * 0.9:.1f}MiB"), BUDGET)


def test_a_budget_of_an_exbibyte_is_only_a_cap(spillway, model):
    """It must neither overflow nor be taken from the machine."""
    run = spillway.run("run", model, QUESTION, "-n", "8", "--host-budget", "1EiB")
    assert run.code == 0 and run.out.strip(), run
    assert run.peak_rss < 1 << 30, run


def test_an_exbibyte_of_context_and_tokens_is_refused(spillway, model, check_error):
    run = spillway.run("run", model, "x", "-n", str(1 << 60), "--context", str(1 << 60), seconds=10)
    check_error(run, (USAGE, BUDGET))


@pytest.mark.parametrize("arguments, word", [
    (["--help"], "run"), (["run", "--help"], "--host-budget"), (["plan", "--help"], "--machine")])
def test_help_is_no_error(spillway, arguments, word):
    run = spillway.run(*arguments, seconds=10)
    assert run.code == 0 and word in run.text, run
