"""Placement changes speed, never results: budgets, threads and prompt chunks."""
import numpy as np
import pytest

import compare

PROMPT = "The Alps, the Andes and the Himalayas are mountain ranges. The highest of them"
PROMPTS = [
    "Which is the tallest mountain in the world?",
    "Write one sentence about the sea.",
    "What is 12 plus 30?",
    "Name three animals that can fly.",
    "Why is the sky blue? Explain it to a child who has never heard of light waves.",
]


@pytest.fixture(scope="module")
def baseline(shared_spillway, model):
    return shared_spillway.generate(model, PROMPT, "--raw", "-n", "32", "--host-budget", "1024MiB",
                                    "--threads", "1", logits=True)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("budget", [48, 64, 96, 1024])
def test_budget_and_threads_change_no_bit(spillway, model, baseline, budget, threads):
    run = spillway.generate(model, PROMPT, "--raw", "-n", "32", "--host-budget", f"{budget}MiB",
                            "--threads", threads, logits=True)
    assert run.stats["token_ids"] == baseline.stats["token_ids"]
    assert np.array_equal(run.logits.view(np.uint32), baseline.logits.view(np.uint32)), run
    assert run.stats["peak_host_bytes"] <= budget << 20, run


def rows_differ_by(spillway, model, text, chunk, *arguments):
    """The most that a row of logits differs between this chunk length and one whole prompt."""
    runs = [spillway.generate(model, text, "--raw", "-n", "8", "--prompt-chunk", length, *arguments,
                              logits=True) for length in (512, chunk)]
    assert runs[0].stats["token_ids"] == runs[1].stats["token_ids"]
    return compare.relative_l2(runs[1].logits, runs[0].logits).max()


@pytest.mark.parametrize("chunk", [1, 7])
def test_prompt_chunks_of_8_bit_activations(spillway, model, chunk):
    assert rows_differ_by(spillway, model, PROMPT, chunk) <= 1e-2


@pytest.mark.parametrize("chunk", [1, 7])
def test_prompt_chunks_of_f32(spillway, stories, chunk):
    text = "Once upon a time, there was a little girl named Lily. She loved to play"
    assert rows_differ_by(spillway, stories, text, chunk, "--kv", "f32") <= 1e-5


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompt_chunks_give_the_same_text(spillway, model, prompt):
    texts = {spillway.generate(model, prompt, "-n", "32", "--prompt-chunk", chunk).text
             for chunk in (1, 7, 512)}
    assert len(texts) == 1, texts
