"""save_cache() and load_cache(): what was saved goes on as if it had never left, and nothing else
is believed."""
import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys

import pytest
import torch

from processes import TESTS

transformers = pytest.importorskip("transformers")
from transformers.cache_utils import DynamicCache  # noqa: E402

from kv_models import BUDGET, DIM, answers, model_of, prompt, same  # noqa: E402

from spillway.torch import (CacheFileError, kv_format, kv_save, kv_tensor, load_cache,  # noqa: E402
                            save_cache)


def filled(model, ids):
    cache = DynamicCache(config=model.config)
    first = answers(model, ids, past_key_values=cache)
    return cache, first[0]


def more(model, text, cache):
    return answers(model, torch.cat([text, text[:, :7]], 1), past_key_values=cache)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(kv_tensor, "PIECE_BYTES", 16 << 10)


@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.usefixtures("small_pieces")
def test_what_was_saved_goes_on(stream, device, tmp_path, window):
    """From each tier and from what transformers has, to each."""
    model, ids = model_of(device, sliding_window=window), prompt(device, 300)
    file = tmp_path / "session"
    cache, text = filled(model, ids)
    save_cache(cache, file, model)
    wanted = more(model, text, cache)
    assert same(more(model, text, load_cache(file, model)), wanted)
    streamer = stream(BUDGET)
    for hbm_bytes in (streamer.hbm_bytes, 0):
        streamer.hbm_bytes = hbm_bytes
        loaded = load_cache(file, model)
        in_host = window is None and hbm_bytes == 0
        assert all(getattr(layer, "in_host", False) == in_host for layer in loaded.layers)
        assert same(more(model, text, loaded), wanted)
        cache, text = filled(model, ids)
        save_cache(cache, tmp_path / "again", model)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_the_file_is_a_safetensors_file(device, tmp_path):
    safe_open = pytest.importorskip("safetensors").safe_open
    model = model_of(device)
    cache, _ = filled(model, prompt(device))
    save_cache(cache, tmp_path / "session", model)
    with safe_open(tmp_path / "session", "pt") as file:
        assert file.metadata()["format"] == "spillway-kv"
        keys = file.get_tensor("layers.2.keys")
    length = cache.get_seq_length()
    assert torch.equal(keys[:length].permute(1, 2, 0, 3), cache.layers[2].keys.cpu())


def test_other_models_are_refused(device, tmp_path):
    model, file = model_of(device), tmp_path / "session"
    cache, _ = filled(model, prompt(device))
    save_cache(cache, file, model)
    with pytest.raises(CacheFileError, match="dtype F32, and the model computes in BF16"):
        load_cache(file, model_of(device, dtype=torch.bfloat16))
    other = model_of(device)
    with torch.no_grad():
        other.model.layers[3].mlp.up_proj.weight.mul_(1.01)
    with pytest.raises(CacheFileError, match="its weights are not this model's"):
        load_cache(file, other)
    with pytest.raises(CacheFileError, match="other rope|weights are not"):
        load_cache(file, model_of(device, rope_theta=5e5))
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        vocab_size=99))
    with pytest.raises(CacheFileError, match="is of a MistralForCausalLM, and this model is a Ll"):
        load_cache(file, llama)


def test_what_cannot_be_saved_says_so(device, tmp_path):
    model = model_of(device)
    with pytest.raises(ValueError, match="empty"):
        save_cache(DynamicCache(config=model.config), tmp_path / "session", model)
    with pytest.raises(ValueError, match="StaticCache cannot be saved"):
        save_cache(transformers.StaticCache(model.config, max_cache_len=8), tmp_path / "x", model)
    assert not list(tmp_path.iterdir())


def test_foreign_and_damaged_files_are_refused(stream, device, tmp_path, monkeypatch):
    model, file = model_of(device), tmp_path / "session"
    cache, _ = filled(model, prompt(device))
    monkeypatch.setattr(kv_save, "VERSION", 7)
    save_cache(cache, file, model)
    with pytest.raises(CacheFileError, match="is of version 7, and this Spillway reads 1"):
        load_cache(file, model)
    monkeypatch.undo()
    save_cache(cache, file, model)
    whole = file.read_bytes()
    stream(0)
    generator = random.Random(0)
    for _ in range(40):  # one bit, in the header or in the data; what pads a tensor means nothing
        damaged = bytearray(whole)
        at = generator.choice((generator.randrange(len(whole)), generator.randrange(4096)))
        damaged[at] ^= 1 << generator.randrange(8)
        file.write_bytes(damaged)
        try:
            loaded = load_cache(file, model)
        except CacheFileError:
            continue
        for layer, one in zip(loaded.layers, cache.layers):
            assert torch.equal(layer.keys, one.keys) and torch.equal(layer.values, one.values)
    for size in (0, 5, 8, 100, 5000, len(whole) // 2, len(whole) - 4096):
        file.write_bytes(whole[:size])
        with pytest.raises(CacheFileError, match="is truncated|is no saved cache"):
            load_cache(file, model)
    for text in (b"\x10" + bytes(7) + b"[1, 2, 3, 4]    ", b"GGUF" + bytes(500),
                 json.dumps({"a": 1}).encode() * 9):
        file.write_bytes(text)
        with pytest.raises(CacheFileError):
            load_cache(file, model)


def test_a_full_disk_leaves_the_file_of_before(device, tmp_path, monkeypatch):
    model, file = model_of(device), tmp_path / "session"
    cache, _ = filled(model, prompt(device))
    save_cache(cache, file, model)
    before = file.read_bytes()
    for name, number in (("posix_fallocate", 1), ("pwrite", 3), ("fsync", 1), ("replace", 1)):
        calls = []

        def fails(*arguments, original=getattr(os, name), calls=calls, number=number):
            calls.append(arguments)
            if len(calls) >= number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fails)
            with pytest.raises(OSError, match="No space left on device") as error:
                save_cache(cache, file, model)
        assert name != "posix_fallocate" or "takes" in str(error.value)
        assert [one.name for one in tmp_path.iterdir()] == ["session"]
        assert file.read_bytes() == before


KILLED = """
import os, sys, torch
sys.path.insert(0, {tests!r})
from kv_models import model_of
from transformers.cache_utils import DynamicCache
from spillway.torch import save_cache
model = model_of(torch.device("cpu"))
cache = DynamicCache(config=model.config)
with torch.no_grad():
    model(torch.arange(1, 30)[None], past_key_values=cache)
def last(descriptor, fsync=os.fsync):
    fsync(descriptor)
    print("written", flush=True)
    sys.stdin.read()
os.fsync = last
save_cache(cache, {file!r}, model)
"""


def test_a_kill_leaves_the_file_of_before(tmp_path):
    device, file = torch.device("cpu"), tmp_path / "session"
    model = model_of(device)
    cache, _ = filled(model, prompt(device))
    save_cache(cache, file, model)
    before = file.read_bytes()
    script = KILLED.format(tests=str(TESTS), file=str(file))
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"written\n"
        with pytest.raises(OSError, match="somebody else is saving there"):
            save_cache(cache, file, model)
        child.send_signal(signal.SIGKILL)
    assert file.read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    load_cache(file, model)
    save_cache(cache, file, model)  # over what the other one left
    assert [one.name for one in tmp_path.iterdir()] == ["session"]


def test_a_digest_is_of_what_it_should_be():
    """Other numbers in one weight give another one, wherever they lie."""
    model = torch.nn.Sequential(torch.nn.Linear(40, 40), torch.nn.LayerNorm(40))
    seen = {kv_format.fingerprint(model)["weights"]}
    for parameter in model.parameters():
        with torch.no_grad():
            parameter += 1
        seen.add(kv_format.fingerprint(model)["weights"])
    assert len(seen) == 5


def test_lies_in_a_header_are_seen(device, tmp_path):
    """With the digest that fits them: nothing is read where there is nothing."""
    model, file = model_of(device), tmp_path / "session"
    cache, _ = filled(model, prompt(device))
    save_cache(cache, file, model)
    whole = file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:8 + length])
    truth = header["__metadata__"]["cache"]

    def lie(path, value):
        said = json.loads(truth)
        *path, last = path
        place = said
        for step in path:
            place = place[step]
        place[last] = value
        meta = {**header["__metadata__"], "cache": json.dumps(said)}
        meta["sha256"] = hashlib.sha256(meta["cache"].encode()).hexdigest()
        text = json.dumps({**header, "__metadata__": meta}).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length:])

    name = "layers.1.keys"
    for path, value in (
            (["layers", 1, "tokens"], 10 ** 9), (["layers", 1, "tokens"], -1), (["layers"], []),
            (["layers"], {}), (["tensors", name, "shape"], [10 ** 9, 2, 2, DIM]),
            (["tensors", name, "shape", 0], -128), (["tensors", name, "data_offsets", 0], -4096),
            (["tensors", name, "data_offsets"], [0, 10 ** 15]), (["tensors"], {}),
            (["sha256", name], []), (["dtype"], "F8"), (["layers", 1], None), (["model"], 5)):
        lie(path, value)
        with pytest.raises(CacheFileError):
            load_cache(file, model)
