"""Logits against the independent float reference, at 64 positions of real text."""
import pytest

pytest.importorskip("gguf", reason="the gguf package is not installed")

import compare
import files
from reference import Reference

POSITIONS = 64


@pytest.fixture(scope="module")
def expected(shared_spillway, model):
    """The passage's tokens as Spillway sees them, and the reference's logits."""
    run = shared_spillway.generate(model, files.passage(), "--raw", "-n", "1")
    tokens = run.stats["prompt_token_ids"][:POSITIONS]
    assert len(tokens) == POSITIONS
    return tokens, Reference(model).logits(tokens)


def found(spillway, model, expected, *arguments):
    tokens, reference = expected
    run = spillway.generate(model, files.passage(), "--raw", "-n", "1", *arguments, logits=True)
    assert run.stats["prompt_token_ids"][:POSITIONS] == tokens
    assert len(run.logits) == len(run.stats["prompt_token_ids"])
    return compare.distance(run.logits[:POSITIONS], reference)


@pytest.mark.parametrize("kv, bound", [("f32", 1e-4), ("f16", 2e-3)])
def test_f32_weights(spillway, expected, kv, bound):
    assert found(spillway, files.model_f32(), expected, "--kv", kv).max_l2 <= bound


def test_8_bit_activations(spillway, model, expected):
    distance = found(spillway, model, expected)
    assert distance.mean_l2 <= 4e-2, distance
    assert distance.mean_kl <= 5e-3, distance


def test_8_bit_activations_are_no_worse_than_llama_cpp(spillway, model, expected):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    import llama_cpp_peer
    tokens, reference = expected
    peer = compare.distance(llama_cpp_peer.logits(model, tokens), reference)
    distance = found(spillway, model, expected)
    assert distance.mean_l2 <= 1.1 * peer.mean_l2, f"{distance}\n{peer}"
    assert distance.mean_kl <= 1.1 * peer.mean_kl, f"{distance}\n{peer}"


def test_prompts_are_tokenized_as_llama_cpp_does(spillway, model):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    import llama_cpp_peer
    text = files.passage() + " <|im_end|> 12345  naïve 日本語\t\n\n🙂"
    run = spillway.generate(model, text, "--raw", "-n", "1")
    assert run.stats["prompt_token_ids"] == llama_cpp_peer.tokenize(model, text.encode())
