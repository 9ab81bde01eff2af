"""Gemma 3 270M, a real model with windows, two kinds of RoPE and 262,144 tokens, against llama.cpp.

Runs where `tools/model gemma3` has brought the file (253 MB; `make test` does not). The numbers
are llama-cpp-python 0.3.36's, by tests/golden/llama_cpp_peer.py: tokenize(), the first choice after
each token of logits(), perplexity() over 4 chunks of wikitext-2.
"""
import pytest

import files

MODEL = files.ROOT / "models" / "gemma-3-270m-q4_k_m.gguf"
TEXT = "The capital of France is Paris. The capital of Germany is"
IDS = [2, 818, 5279, 529, 7001, 563, 9079, 236761, 669, 5279, 529, 9405, 563]
ANSWER = [15687, 236761, 669, 5279, 529, 506, 3640, 4184, 563, 7693, 236764, 622, 236761, 236780]
PERPLEXITY = 15.2551

pytestmark = pytest.mark.skipif(not MODEL.is_file(),
                                reason=f"no {MODEL.name}; tools/model gemma3 brings it")


@pytest.mark.parametrize("budget", ["128MiB", "1GiB"])
def test_tokens_are_those_of_llama_cpp(shared_spillway, budget):
    run = shared_spillway.generate(MODEL, TEXT, "--raw", "-n", str(len(ANSWER)), "--context", "64",
                                   "--host-budget", budget)
    assert run.stats["prompt_token_ids"] == IDS
    assert run.stats["token_ids"] == ANSWER


def test_perplexity_is_that_of_llama_cpp(shared_spillway):
    if files.wiki() is None:
        pytest.skip(f"no wikitext under {files.SHARED}")
    found = shared_spillway.json("perplexity", MODEL, files.wiki(), "--context", "512",
                                 "--chunks", "4")
    assert found["perplexity"] == pytest.approx(PERPLEXITY, rel=5e-3)
