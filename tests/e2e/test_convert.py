"""spillway convert and quantize with Hugging Face folders: GGUF files of them, and back."""
import json
import shutil

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

import tiny_models

USAGE, BAD_FILE, BUDGET = 2, 3, 4
NAMES = list(tiny_models.CONFIGS)
TEXT = "Once upon a time, there was a little dog named Max. Él said: \"Hi!\" 🙂"


def convert(spillway, *arguments):
    run = spillway.run("convert", *arguments)
    assert run.code == 0, run
    return run


def fields(reader):
    return {key: field.contents() for key, field in reader.fields.items()
            if not key.startswith("GGUF.")}


def tensors(reader):
    return {one.name: (one.tensor_type, one.data) for one in reader.tensors}


def assert_same_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, (kind, data) in expected.items():
        assert found[name][0] == kind, name
        assert np.array_equal(found[name][1].view(np.uint8), data.view(np.uint8)), name


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_becomes_the_file_that_the_gguf_package_writes(shared_spillway, name, tmp_path):
    dtype = ("F32", "F16", "BF16")[NAMES.index(name) % 3]
    folder = tiny_models.write_folder(name, tmp_path / "folder", dtype, shards=2)
    convert(shared_spillway, folder, tmp_path / "ours.gguf")
    ours = gguf.GGUFReader(tmp_path / "ours.gguf")
    theirs = gguf.GGUFReader(tiny_models.write_gguf(name, tmp_path / "theirs.gguf", dtype))
    assert_same_tensors(tensors(ours), tensors(theirs))
    found = fields(ours)
    for key, value in fields(theirs).items():
        assert found[key] == value, key
    assert found["general.name"] == "folder"
    assert found["general.file_type"] == {"F32": 0, "F16": 1, "BF16": 32}[dtype]
    if name == "llama3":
        return  # its factors are of a shorter context than any real model's, and are refused
    convert(shared_spillway, tmp_path / "ours.gguf", tmp_path / "back")
    convert(shared_spillway, tmp_path / "back", tmp_path / "again.gguf")
    assert_same_tensors(tensors(gguf.GGUFReader(tmp_path / "again.gguf")), tensors(ours))


def test_there_and_back(spillway, stories, tmp_path):
    """Weights, vocabulary, answer; llama.cpp reads the result as it reads the original."""
    folder, back = tmp_path / "stories", tmp_path / "back.gguf"
    convert(spillway, stories, folder)
    convert(spillway, folder, back, "--host-budget", "16MiB")
    before, after = gguf.GGUFReader(stories), gguf.GGUFReader(back)
    assert_same_tensors(tensors(after), tensors(before))
    for key in ("tokens", "token_type", "bos_token_id", "eos_token_id"):
        key = f"tokenizer.ggml.{key}"
        assert fields(after)[key] == fields(before)[key], key
    runs = [spillway.generate(model, TEXT, "-n", "24", "--raw", logits=True)
            for model in (stories, folder, back)]
    for run in runs[1:]:
        assert run.stats["token_ids"] == runs[0].stats["token_ids"]
        assert np.array_equal(run.logits, runs[0].logits)

    peer = pytest.importorskip("llama_cpp_peer", reason="llama_cpp is not installed")
    ids = peer.tokenize(stories, TEXT.encode())
    assert peer.tokenize(back, TEXT.encode()) == ids == runs[0].stats["prompt_token_ids"]
    assert np.array_equal(peer.logits(back, ids), peer.logits(stories, ids))


def test_a_folder_is_quantised_as_its_file(spillway, tmp_path):
    folder = tiny_models.write_folder("llama", tmp_path / "folder")
    convert(spillway, folder, tmp_path / "whole.gguf")
    for source, out in ((folder, "a.gguf"), (tmp_path / "whole.gguf", "b.gguf")):
        run = spillway.run("quantize", source, tmp_path / out, "Q4_0")
        assert run.code == 0 and "Q4_0" in run.err, run
    found = tensors(gguf.GGUFReader(tmp_path / "a.gguf"))
    assert_same_tensors(found, tensors(gguf.GGUFReader(tmp_path / "b.gguf")))
    assert found["blk.0.attn_q.weight"][0] == gguf.GGMLQuantizationType.Q4_0


def test_broken_folders(spillway, tmp_path, check_error):
    sound = tiny_models.write_folder("qwen2", tmp_path / "sound", shards=2)
    out = tmp_path / "out.gguf"

    def refused(damage, *words, code=BAD_FILE):
        folder = tmp_path / "broken"
        shutil.copytree(sound, folder)
        damage(folder)
        check_error(spillway.run("convert", folder, out), code, *words)
        shutil.rmtree(folder)

    def configure(**changes):
        def change(folder):
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **changes}))
        return change

    def edit(name, old, new):
        def change(folder):
            text = (folder / name).read_bytes()
            assert old in text
            (folder / name).write_bytes(text.replace(old, new))
        return change

    def rename_a_tensor(folder):
        for name in (shard, "model.safetensors.index.json"):
            edit(name, b"0.self_attn.o_proj", b"0.self_attn.o_prod")(folder)

    shard = "model-00002-of-00002.safetensors"
    refused(lambda folder: (folder / "config.json").unlink(), "config.json", "no such file")
    refused(lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json", "no such file")
    refused(lambda folder: (folder / shard).unlink(), shard, "no such file")
    refused(lambda folder: (folder / "config.json").write_text("{"), "config.json", "JSON")
    refused(configure(model_type="qwen9"), "config.json", "qwen9", "'qwen2'")
    refused(configure(num_hidden_layers=5), "blk.4.attn_norm.weight is missing")
    refused(configure(hidden_size=128), "token_embd.weight", "[64, 48]", "[128, 48]")
    refused(edit(shard, b'"F32"', b'"I32"'), "is I32; F32, F16 and BF16 are supported")
    refused(rename_a_tensor, "o_prod.weight", "none that a model")
    refused(edit("tokenizer.json", b'"ByteLevel", ', b'"Metaspace", "replacement": "_", '),
            "changes text")
    check_error(spillway.run("convert", sound, out, "--host-budget", "12MiB"), BUDGET)
    tiny_models.write_gguf("qwen2", tmp_path / "split.gguf", split=40)
    part = next(tmp_path.glob("split-00001-*"))
    check_error(spillway.run("convert", part, tmp_path / "out"), BAD_FILE, part, "parts of a model")
    assert not list(tmp_path.glob("out*"))
    out.write_bytes(b"precious")
    check_error(spillway.run("convert", sound, out), USAGE, "--force")
    assert out.read_bytes() == b"precious"
    convert(spillway, sound, out, "--force")
    assert gguf.GGUFReader(out).tensors
