"""Every architecture against transformers' logits, as a GGUF file and as a Hugging Face folder.

The models are those of tests/golden/tiny_models.py; tools/make_architecture_golden.py made the
logits.
"""
import pytest

pytest.importorskip("gguf", reason="the gguf package is not installed")

import numpy as np

import files
import tiny_models

EXPECTED = np.load(files.HERE / "architectures.npz")
NAMES = list(tiny_models.CONFIGS)


def run(spillway, model, *options):
    """The logits of the text's tokens; of the answer there is one token."""
    found = spillway.generate(model, tiny_models.TEXT, "-n", "1", "--raw", *options, logits=True)
    assert found.stats["prompt_token_ids"] == EXPECTED["ids"].tolist()
    return found.logits


def worst(logits, expected):
    """The largest difference, relative to the largest logit of its position."""
    return np.max(np.abs(logits - expected).max(axis=1) / np.abs(expected).max(axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_gguf_gives_the_logits_of_transformers(shared_spillway, name, tmp_path):
    model = tiny_models.write_gguf(name, tmp_path / "tiny.gguf")
    assert worst(run(shared_spillway, model, "--kv", "f32"), EXPECTED[name]) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_folder_gives_the_bits_of_its_gguf_twin(shared_spillway, name, tmp_path):
    dtype = ("F32", "F16", "BF16")[NAMES.index(name) % 3]
    folder = tiny_models.write_folder(name, tmp_path / "folder", dtype, shards=2)
    twin = tiny_models.write_gguf(name, tmp_path / "twin.gguf", dtype)
    assert np.array_equal(run(shared_spillway, folder), run(shared_spillway, twin))


def test_split_gguf_gives_the_bits_of_the_whole(shared_spillway, check_error, tmp_path):
    whole = tiny_models.write_gguf("qwen2", tmp_path / "tiny.gguf")
    tiny_models.write_gguf("qwen2", tmp_path / "split.gguf", split=20)
    parts = sorted(tmp_path.glob("split-*.gguf"))
    assert parts[0].name == f"split-00001-of-0000{len(parts)}.gguf" and len(parts) > 2
    logits = run(shared_spillway, whole)
    for budget in ("1GiB", "16MiB"):
        assert np.array_equal(run(shared_spillway, parts[0], "--host-budget", budget), logits)
    check_error(shared_spillway.run("run", parts[1], "a"), 3, "part 2", parts[0].name)
    parts[2].unlink()
    check_error(shared_spillway.run("run", parts[0], "a"), 3, parts[2].name)


@pytest.mark.parametrize("kv, bound", [("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 3e-2)])
def test_caches_of_fewer_bits_are_near(shared_spillway, kv, bound, tmp_path):
    model = tiny_models.write_gguf("gemma3", tmp_path / "tiny.gguf")
    distance = worst(run(shared_spillway, model, "--kv", kv), EXPECTED["gemma3"])
    assert 0 < distance < bound
