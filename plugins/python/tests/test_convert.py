"""A GGUF file as a Hugging Face folder."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

gguf = pytest.importorskip("gguf")
transformers = pytest.importorskip("transformers")
import smollm2  # noqa: E402

import spillway  # noqa: E402
from spillway import convert, convert_config  # noqa: E402

PACKAGE = Path(spillway.__file__).parents[1]
ENGINES = [smollm2.ROOT / "build" / preset / "bin" / "spillway" for preset in ("release", "dev")]
TEXTS = ["The year 2026 had 365 days.", "  two  spaces\n\nand\tmore", "naïve Größe 数字 12345 🙂",
         "def f(x):\n    return x**2  # it's fine", ""]


@pytest.fixture(scope="module")
def engine():
    for path in ENGINES:
        if path.is_file():
            return path
    pytest.skip("the engine is not built: tools/build release spillway")


def tiny(path, **changes):
    """A Llama of random weights with a SentencePiece vocabulary; changes by metadata key."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, changes.get("architecture", "llama"))
    about = {"block_count": 2, "context_length": 64, "embedding_length": 32,
             "feed_forward_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2,
             **changes.get("metadata", {})}
    for key, value in about.items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(f"llama.{key}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    pieces = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)],
              "▁", "a", "b", "c", "▁a", "ab", "bc", "abc", "▁abc"]
    kinds = [2, 3, 3, *[6] * 256, *[1] * 9]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([0.0] * 259 + [-float(n) for n in (9, 8, 8, 8, 4, 3, 2, 1, 0)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd.weight": (len(pieces), 32), "output_norm.weight": (32,),
              "output.weight": (len(pieces), 32)}
    for layer in range(2):
        for name, shape in (("attn_norm", (32,)), ("attn_q", (32, 32)), ("attn_k", (16, 32)),
                            ("attn_v", (16, 32)), ("attn_output", (32, 32)), ("ffn_norm", (32,)),
                            ("ffn_gate", (64, 32)), ("ffn_up", (64, 32)), ("ffn_down", (32, 64))):
            shapes[f"blk.{layer}.{name}.weight"] = shape
    for name in changes.get("without", ()):
        del shapes[name]
    for name, shape in {**shapes, **changes.get("with_", {})}.items():
        writer.add_tensor(name, (random.standard_normal(shape) * 0.3).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def run(*words):
    path = os.pathsep.join([str(PACKAGE), *sys.path])  # where `gguf` was found, too
    return subprocess.run([sys.executable, "-m", "spillway.convert", *map(str, words)], text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": path})


def engine_logits(engine, model, prompt, tmp_path):
    """[positions, vocabulary] and the ids, of the native engine."""
    dump, stats = tmp_path / "logits", tmp_path / "stats.json"
    subprocess.run([engine, "run", model, prompt, "--raw", "-n", "1", "--dump-logits", dump,
                    "--stats", stats, "--host-budget", "1GiB"], check=True, capture_output=True)
    ids = json.loads(stats.read_text())
    return np.fromfile(dump, np.float32), ids


def test_logits_are_those_of_the_engine(engine, tmp_path):
    prompt = "Mount Everest is the tallest mountain in the world. It lies in"
    folder = smollm2.folder()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        ours = model(ids).logits[0].numpy()
    theirs, _ = engine_logits(engine, smollm2.gguf_file(), prompt, tmp_path)
    theirs = theirs.reshape(-1, ours.shape[1])[:len(ours)]
    distance = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    # The engine multiplies 8-bit activations, 0.034 from exact arithmetic in the mean.
    assert distance.mean() < 0.05 and (ours.argmax(1) == theirs.argmax(1)).mean() > 0.8
    assert ours[-1].argmax() == theirs[-1].argmax()


def test_weights_are_the_dequantised_ones_in_bfloat16(tmp_path):
    from safetensors import safe_open
    reader = gguf.GGUFReader(smollm2.gguf_file())
    tensors = {one.name: one for one in reader.tensors}
    with safe_open(smollm2.folder() / "model.safetensors", framework="pt") as file:
        def equal(name, source):
            exact = gguf.quants.dequantize(tensors[source].data, tensors[source].tensor_type)
            return torch.equal(file.get_tensor(name), torch.from_numpy(exact).bfloat16())
        assert equal("model.embed_tokens.weight", "token_embd.weight")
        assert equal("model.layers.29.mlp.down_proj.weight", "blk.29.ffn_down.weight")
        assert equal("model.layers.3.self_attn.v_proj.weight", "blk.3.attn_v.weight")
        assert not equal("model.layers.3.self_attn.q_proj.weight", "blk.3.attn_q.weight")
        assert "lm_head.weight" not in file.keys()


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_of_the_engine(engine, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.folder())
    check_tokens(engine, smollm2.gguf_file(), tokenizer, text)


def check_tokens(engine, model, tokenizer, text):
    done = subprocess.run([engine, "tokenize", model, text], check=True, capture_output=True,
                          text=True)
    wanted = [int(line.split()[0]) for line in done.stdout.splitlines() if line.split()]
    assert tokenizer(text).input_ids == wanted


def test_the_chat_template_is_the_files():
    template = gguf.GGUFReader(smollm2.gguf_file()).fields["tokenizer.chat_template"].contents()
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2.folder())
    assert tokenizer.chat_template == template
    text = tokenizer.apply_chat_template(smollm2.QUESTION, tokenize=False,
                                         add_generation_prompt=True)
    assert text.endswith("in the world?<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.eos_token == "<|im_end|>"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text and ids[0] == tokenizer.bos_token_id


def test_sentence_piece_and_own_head(engine, tmp_path):
    model = tiny(tmp_path / "tiny.gguf")
    done = run(model, tmp_path / "folder")
    assert done.returncode == 0, done.stderr
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    for text in ("abc", "a bc  abc", "é x"):
        check_tokens(engine, model, tokenizer, text)
        assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder",
                                                               dtype=torch.float32)
    assert loaded.lm_head.weight is not loaded.model.embed_tokens.weight
    with torch.no_grad():
        ours = loaded(torch.tensor([tokenizer("abc").input_ids])).logits[0].numpy()
    theirs, _ = engine_logits(engine, model, "abc", tmp_path)
    assert np.abs(ours - theirs.reshape(-1, ours.shape[1])[:len(ours)]).max() < 0.1


def check_the_program_makes_the_same(engine, model, theirs, ours):
    """`spillway convert`, which needs no Python."""
    from safetensors import safe_open
    done = subprocess.run([engine, "convert", model, ours], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("config.json", "generation_config.json", "tokenizer_config.json",
                 "tokenizer.json"):
        a, b = (json.loads((folder / name).read_text()) for folder in (ours, theirs))
        assert {key: value for key, value in b.items() if key in a or value is not None} == a, name
    with safe_open(ours / "model.safetensors", "pt") as a, \
            safe_open(theirs / "model.safetensors", "pt") as b:
        assert set(a.keys()) == set(b.keys())
        for name in a.keys():
            assert a.get_tensor(name).dtype == torch.bfloat16
            assert torch.equal(a.get_tensor(name), b.get_tensor(name)), name


def test_the_program_makes_the_same_folder(engine, tmp_path):
    check_the_program_makes_the_same(engine, smollm2.gguf_file(), smollm2.folder(),
                                     tmp_path / "ours")


@pytest.mark.parametrize("change, says", [
    ({"architecture": "qwen2"}, "architecture is qwen2"),
    ({"metadata": {"expert_count": 8}}, "mixture of 8 experts"),
    ({"metadata": {"rope.scaling.type": "yarn"}}, "RoPE scaling yarn"),
    ({"with_": {"blk.0.attn_q.bias": (32,)}}, "blk.0.attn_q.bias has no place"),
    ({"without": ["blk.1.ffn_up.weight"]}, "model.layers.1.mlp.up_proj.weight the first"),
    ({"with_": {"rope_freqs.weight": (4,)}}, "not those of Llama 3")])
def test_what_cannot_be_converted_says_why(tmp_path, change, says):
    path = tiny(tmp_path / "tiny.gguf", **change)
    with pytest.raises(convert_config.Unsupported, match=says):
        convert.convert(path, tmp_path / "folder")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tiny.gguf"]


def test_bad_files_and_folders(tmp_path, monkeypatch):
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    done = run(text, tmp_path / "folder")
    assert done.returncode == 3 and "is not a GGUF file" in done.stderr
    whole = tiny(tmp_path / "tiny.gguf")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:9000])
    done = run(cut, tmp_path / "folder")
    assert done.returncode == 3 and "damaged, or not all there" in done.stderr
    (tmp_path / "there").mkdir()
    done = run(whole, tmp_path / "there")
    assert done.returncode == 5 and "is there already" in done.stderr
    done = run(tmp_path / "none.gguf", tmp_path / "folder")
    assert done.returncode == 5 and "none.gguf" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "folder").exists()
    usage = type("", (), {"free": 1000})
    monkeypatch.setattr(convert.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="are free"):
        convert.convert(whole, tmp_path / "folder")


def test_llama_3_scaling_is_found_again():
    factors, theta, dim = [], 500000.0, 128
    for at in range(dim // 2):  # as llama.cpp writes them
        length = 2 * np.pi * theta ** (2 * at / dim)
        smooth = (8192 / length - 1) / 3
        factors.append(1.0 if length < 8192 / 4 else 8.0 if length > 8192 else
                       1 / ((1 - smooth) / 8 + smooth))
    scaling = convert_config._llama3_scaling(np.array(factors, np.float32), dim, theta)
    assert scaling["factor"] == 8 and scaling["rope_type"] == "llama3"
