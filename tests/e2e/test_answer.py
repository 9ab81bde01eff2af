"""A real model answers from less memory than it needs, and says what it used."""
import re

import pytest

from spillway_runner import MIB

QUESTION = "Which is the tallest mountain in the world?"
BUDGET = 64 * MIB
PROCESS = 8 * MIB  # what the process may hold beside its budget: program, libraries, stacks


@pytest.fixture(scope="module")
def answer(shared_spillway, model):
    return shared_spillway.generate(model, QUESTION, "--host-budget", "64MiB")


def test_the_answer_names_everest(answer):
    assert "Everest" in answer.text, answer


def test_the_budget_held(answer):
    assert answer.stats["peak_host_bytes"] <= BUDGET, answer
    assert answer.peak_rss <= BUDGET + PROCESS, f"{answer.peak_rss / MIB:.1f} MiB\n{answer}"


def test_stderr_shows_the_peak(answer):
    shown = re.search(r"peak\b[^\n]*?([0-9.]+) MiB", answer.err)
    assert shown and float(shown.group(1)) <= 64, answer


def test_the_last_line_reports_speed_and_bound(answer):
    last = answer.err.rstrip("\n").splitlines()[-1]
    for word in ("tokens/s", "GB/s", "bound", "%", "predicted"):
        assert word in last, f"no '{word}' in: {last}"


def test_text_goes_to_stdout_and_all_else_to_stderr(answer):
    assert "tokens/s" not in answer.text
    assert answer.text.strip() not in answer.err
    assert "<|im_" not in answer.text


def test_n_limits_the_tokens(spillway, model):
    assert len(spillway.generate(model, QUESTION, "-n", "5").stats["token_ids"]) == 5


def test_a_full_context_is_a_clean_stop_with_a_reason(spillway, model):
    run = spillway.generate(model, "One, two, three,", "--raw", "--context", "32", "-n", "100")
    tokens = len(run.stats["prompt_token_ids"]) + len(run.stats["token_ids"])
    assert 32 <= tokens <= 33, run
    assert "context" in run.err, run


def test_the_seed_decides_what_is_sampled(spillway, model):
    def ids(seed):
        run = spillway.generate(model, QUESTION, "--temperature", "1", "--seed", seed, "-n", "24")
        return run.stats["token_ids"]
    assert ids(1) == ids(1)
    assert len({tuple(ids(seed)) for seed in range(1, 5)}) > 1


def test_top_k_of_one_is_greedy(spillway, model):
    greedy = spillway.generate(model, QUESTION, "-n", "16").stats["token_ids"]
    sampled = spillway.generate(model, QUESTION, "-n", "16", "--temperature", "2", "--top-k", "1")
    assert sampled.stats["token_ids"] == greedy
