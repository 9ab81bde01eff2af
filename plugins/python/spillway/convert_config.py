"""The configuration that transformers has for a model, from a GGUF file's metadata. Any thread."""
from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from gguf import GGUFReader

# Of Llama 3's frequency factors; GGUF keeps only what follows from them.
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192}


class Unsupported(ValueError):
    """The file is no GGUF file, damaged, or holds what cannot be converted; the text says what."""


def field(reader: GGUFReader, key: str, default=None):
    """Unsupported where the key is missing and has no default."""
    found = reader.fields.get(key)
    if found is not None:
        return found.contents()
    if default is None:
        raise Unsupported(f"the file has no {key}, which is needed")
    return default


def llama_config(reader: GGUFReader) -> dict:
    """config.json of a Llama. Unsupported for other architectures, and for mixtures of experts."""
    architecture = field(reader, "general.architecture")
    if architecture != "llama":
        raise Unsupported(f"the architecture is {architecture}; only llama is converted")
    if experts := field(reader, "llama.expert_count", 0):
        raise Unsupported(f"the model is a mixture of {experts} experts; only dense ones are "
                          f"converted")
    heads = field(reader, "llama.attention.head_count")
    hidden = field(reader, "llama.embedding_length")
    head_dim = field(reader, "llama.attention.key_length", hidden // heads)
    if field(reader, "llama.rope.dimension_count", head_dim) != head_dim:
        raise Unsupported("RoPE turns a part of each head only")
    names = {tensor.name: tensor for tensor in reader.tensors}
    if "token_embd.weight" not in names:
        raise Unsupported("the tensor token_embd.weight is missing")
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16",
        "hidden_size": hidden,
        "intermediate_size": field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": field(reader, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": field(reader, "llama.attention.head_count_kv", heads),
        "head_dim": head_dim,
        "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "max_position_embeddings": field(reader, "llama.context_length"),
        "rms_norm_eps": _shortest(field(reader, "llama.attention.layer_norm_rms_epsilon")),
        "rope_theta": _shortest(field(reader, "llama.rope.freq_base", 10000.0)),
        "rope_scaling": _rope_scaling(reader, names.get("rope_freqs.weight"), head_dim),
        "tie_word_embeddings": "output.weight" not in names,
        "vocab_size": int(names["token_embd.weight"].shape[1]),
        **{f"{word}_token_id": field(reader, f"tokenizer.ggml.{key}_token_id", -1)
           for word, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
           if f"tokenizer.ggml.{key}_token_id" in reader.fields}}


def _shortest(value: float) -> float:
    """GGUF keeps 32 bits: 1e-05 is there as 9.999999747378752e-06."""
    return float(str(np.float32(value)))


def _rope_scaling(reader: GGUFReader, factors, head_dim: int) -> dict | None:
    kind = field(reader, "llama.rope.scaling.type", "none")
    if factors is not None:
        return _llama3_scaling(np.asarray(factors.data, np.float32), head_dim,
                               field(reader, "llama.rope.freq_base", 10000.0))
    if kind == "none":
        return None
    if kind == "linear":
        return {"rope_type": "linear", "factor": field(reader, "llama.rope.scaling.factor")}
    raise Unsupported(f"RoPE scaling {kind}; only linear and Llama 3's are converted")


def _llama3_scaling(factors: np.ndarray, head_dim: int, theta: float) -> dict:
    """What gives these frequency factors; Unsupported where nothing that is known does."""
    scaling = {"rope_type": "llama3", "factor": float(factors.max()), **_LLAMA3}
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    original = _LLAMA3["original_max_position_embeddings"]
    for at, found in enumerate(factors):
        turns = original * theta ** (-2 * at / head_dim) / (2 * math.pi)
        smooth = min(1.0, max(0.0, (turns - low) / (high - low)))
        wanted = 1 / ((1 - smooth) / scaling["factor"] + smooth)
        if abs(found / wanted - 1) > 1e-4:
            raise Unsupported("the frequency factors of RoPE are not those of Llama 3 "
                              f"(dimension {at}: {found:g} instead of {wanted:g})")
    return scaling


def write_json(path: Path, content: dict) -> None:
    """For people, too."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
