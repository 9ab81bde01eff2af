"""Tiny random models of every architecture, as a Hugging Face folder and as a GGUF file.

The numbers come from a fixed seed, so that only the logits that transformers computes for them need
to be kept (tools/make_architecture_golden.py). Sizes are chosen so that everything that tells the
architectures apart changes the logits within POSITIONS: windows, soft caps, layers without RoPE.
"""
import json
import struct
from pathlib import Path

import gguf
import numpy as np

TEXT = "the quick brown fox jumps over a lazy dog; then it sleeps"
LETTERS = sorted(set(" abcdefghijklmnopqrstuvwxyz;.,'-"))
VOCABULARY = 48  # the letters, pairs of them, and a control token at the end
EOS = VOCABULARY - 1
SEED = 20261126

BASE = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "bos_token_id": None, "eos_token_id": EOS, "pad_token_id": None, "hidden_act": "silu"}
GEMMA = {"head_dim": 32, "hidden_act": "gelu_pytorch_tanh",
         "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 8,
         "tie_word_embeddings": True}

# name: what config.json has beside BASE
CONFIGS = {
    "llama": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_theta": 10000.0,
              "attention_bias": True, "mlp_bias": True},
    "llama3": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rope_theta": 500.0,
               "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
               "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "architectures": ["MistralForCausalLM"],
                "rope_theta": 10000.0, "sliding_window": 8},
    "smollm3": {"model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"],
                "rope_theta": 2000.0, "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4,
                "use_sliding_window": False, "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "rope_theta": 10000.0,
              "use_sliding_window": False},
    "qwen3": {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "rope_theta": 10000.0,
              "head_dim": 32, "use_sliding_window": False},
    "gemma2": {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], **GEMMA,
               "rope_theta": 10000.0, "query_pre_attn_scalar": 32, "attn_logit_softcapping": 2.0,
               "final_logit_softcapping": 20.0},
    "gemma3": {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], **GEMMA,
               "num_hidden_layers": 6, "query_pre_attn_scalar": 32, "rope_theta": 3000.0,
               "rope_local_base_freq": 100.0,
               "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "phi3": {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"], "rope_theta": 10000.0,
             "partial_rotary_factor": 0.5, "sliding_window": 8, "pad_token_id": EOS,
             "rope_scaling": None, "original_max_position_embeddings": 128},
    "phi3_longrope": {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"],
                      "rope_theta": 10000.0, "sliding_window": None, "pad_token_id": EOS,
                      "max_position_embeddings": 512, "original_max_position_embeddings": 128,
                      "rope_scaling": {"type": "longrope",
                                       "short_factor": [1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0],
                                       "long_factor": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}},
}


def config(name):
    return {**BASE, **CONFIGS[name], "dtype": "float32"}


def shapes(config):
    """Name and shape of every tensor, as transformers names them."""
    dim, ffn, kind = config["hidden_size"], config["intermediate_size"], config["model_type"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim", dim // heads)
    q, kv = heads * head_dim, kv_heads * head_dim
    gemma = kind.startswith("gemma")
    yield "model.embed_tokens.weight", (config["vocab_size"], dim)
    for i in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        linears = {"self_attn.o_proj": (dim, q), "mlp.down_proj": (dim, ffn)}
        if kind == "phi3":
            linears |= {"self_attn.qkv_proj": (q + 2 * kv, dim), "mlp.gate_up_proj": (2 * ffn, dim)}
        else:
            linears |= {"self_attn.q_proj": (q, dim), "self_attn.k_proj": (kv, dim),
                        "self_attn.v_proj": (kv, dim), "mlp.gate_proj": (ffn, dim),
                        "mlp.up_proj": (ffn, dim)}
        for linear, shape in linears.items():
            yield f"{prefix}{linear}.weight", shape
            attention = linear.startswith("self_attn.")
            if ((kind == "qwen2" and attention and "o_proj" not in linear)
                    or config.get("attention_bias" if attention else "mlp_bias")):
                yield f"{prefix}{linear}.bias", shape[:1]
        norms = ["input_layernorm", "post_attention_layernorm"]
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] if gemma else []
        for norm in norms:
            yield f"{prefix}{norm}.weight", (dim,)
        if kind in ("qwen3", "gemma3_text"):
            yield f"{prefix}self_attn.q_norm.weight", (head_dim,)
            yield f"{prefix}self_attn.k_norm.weight", (head_dim,)
    yield "model.norm.weight", (dim,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], dim)


def weights(name):
    """{tensor: float32 array}, the same in every run."""
    made = config(name)
    random = np.random.RandomState(SEED)
    less_one = made["model_type"].startswith("gemma")
    result = {}
    for tensor, shape in shapes(made):
        values = random.standard_normal(shape)
        if "norm" in tensor:
            values = 0.3 * values + (0.0 if less_one else 1.0)
        elif tensor.endswith(".bias"):
            values = 0.3 * values
        elif "embed" not in tensor and "lm_head" not in tensor:
            # Scores of attention spread widely, so that where it looks matters.
            values *= (2.0 if "q_proj" in tensor or "k_proj" in tensor else 1.0) / np.sqrt(shape[1])
        result[tensor] = values.astype(np.float32)
    return result


def to_bf16(values):
    """Rounded to nearest even, as 16-bit integers."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def stored(values, dtype):
    """The bytes' array of a tensor in "F32", "F16" or "BF16"."""
    if dtype == "BF16":
        return to_bf16(values)
    return values.astype(np.float16 if dtype == "F16" else np.float32)


def as_float32(array, dtype):
    if dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def tokens():
    """The texts of the vocabulary in byte-level spelling, in the order of their ids."""
    texts = [letter.replace(" ", "\u0120") for letter in LETTERS]
    texts += [a + b for a, b in MERGES]
    texts += [f"unused{i}" for i in range(VOCABULARY - 1 - len(texts))]
    return texts + ["<|end|>"]


MERGES = [("t", "h"), ("q", "u"), ("o", "v")]


def write_safetensors(path, tensors, dtype):
    header, data = {}, b""
    for name, values in tensors.items():
        array = stored(values, dtype)
        header[name] = {"dtype": dtype, "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_folder(name, folder, dtype="F32", shards=1):
    """config.json, tokenizer.json and the weights, in `shards` files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    (folder / "config.json").write_text(json.dumps({**config(name), "dtype": kinds[dtype]}))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    tensors = list(weights(name).items())
    if shards == 1:
        write_safetensors(folder / "model.safetensors", dict(tensors), dtype)
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = dict(tensors[shard::shards])
        write_safetensors(folder / file, part, dtype)
        weight_map |= {tensor: file for tensor in part}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def tokenizer_json():
    texts = tokens()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": EOS, "content": texts[EOS], "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True}],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False,
                      "vocab": {text: i for i, text in enumerate(texts)},
                      "merges": [f"{a} {b}" for a, b in MERGES]}}


def interleaved(values, heads):
    """Rows of query or key heads in the order that GGUF's llama-like files have."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def llama3_factors(config):
    scaling, dims = config["rope_scaling"], config["hidden_size"] // config["num_attention_heads"]
    frequency = config["rope_theta"] ** -(np.arange(0, dims, 2) / dims)
    turns = scaling["original_max_position_embeddings"] * frequency / (2 * np.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / scaling["factor"] + smooth)).astype(np.float32)


GGUF_ARCHITECTURES = {"mistral": "llama", "gemma3_text": "gemma3"}


def write_gguf(name, path, dtype="F32", split=0):
    """The same model as a GGUF file, by the names of the gguf package; `split` tensors a file."""
    made = config(name)
    kind = made["model_type"]
    architecture = GGUF_ARCHITECTURES.get(kind, kind)
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=split)
    add_metadata(writer, made)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens())
    writer.add_token_types([gguf.TokenType.NORMAL] * EOS + [gguf.TokenType.CONTROL])
    writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    number = next(n for n, a in gguf.MODEL_ARCH_NAMES.items() if a == architecture)
    names = gguf.get_tensor_name_map(number, made["num_hidden_layers"])
    for tensor, values in weights(name).items():
        values = as_float32(stored(values, dtype), dtype)  # what the folder holds
        if architecture in ("llama", "smollm3"):
            for projection, heads in (("q_proj", made["num_attention_heads"]),
                                      ("k_proj", made["num_key_value_heads"])):
                if projection in tensor:
                    values = interleaved(values, heads)
        if kind.startswith("gemma") and "norm" in tensor:
            values = values + np.float32(1)
        gguf_name = names.get_name(tensor, (".weight", ".bias"))
        if values.ndim == 1 or dtype == "F32":
            writer.add_tensor(gguf_name, values)
        else:
            raw = {"F16": gguf.GGMLQuantizationType.F16, "BF16": gguf.GGMLQuantizationType.BF16}
            array = stored(values, dtype)
            writer.add_tensor(gguf_name, array.view(np.uint8) if dtype == "BF16" else array,
                              raw_dtype=raw[dtype])
    scaling = made.get("rope_scaling") or {}
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(made))
    for length in ("short", "long"):
        if f"{length}_factor" in scaling:
            writer.add_tensor(f"rope_factors_{length}.weight",
                              np.array(scaling[f"{length}_factor"], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def add_metadata(writer, made):
    dim, heads = made["hidden_size"], made["num_attention_heads"]
    head_dim = made.get("head_dim", dim // heads)
    writer.add_block_count(made["num_hidden_layers"])
    writer.add_context_length(made["max_position_embeddings"])
    writer.add_embedding_length(dim)
    writer.add_feed_forward_length(made["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(made["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(made["rms_norm_eps"])
    writer.add_rope_freq_base(made["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim * made.get("partial_rotary_factor", 1.0)))
    if made.get("sliding_window"):
        writer.add_sliding_window(made["sliding_window"])
    if made.get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(made["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(made["final_logit_softcapping"])
    if "rope_local_base_freq" in made:
        writer.add_float32("gemma3.rope.freq_base_swa", made["rope_local_base_freq"])
    scaling = made.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("type") == "longrope":
        original = made["original_max_position_embeddings"]
        factor = made["max_position_embeddings"] / original
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(np.sqrt(1 + np.log(factor) / np.log(original)))
