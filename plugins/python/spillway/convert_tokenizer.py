"""tokenizer.json and what belongs to it, from a GGUF file's metadata. Any thread."""
from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, TokenType
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors)

from spillway.convert_config import Unsupported, field, write_json

_LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# Of byte-level BPE, by the name that llama.cpp has for how the text is cut.
_CUTS = {"gpt-2": None, "smollm": pre_tokenizers.Digits(individual_digits=True),
         "llama-bpe": pre_tokenizers.Split(Regex(_LLAMA3), "isolated"),
         "qwen2": pre_tokenizers.Split(Regex(_QWEN2), "isolated")}


def write(reader: GGUFReader, folder: Path, config: dict) -> None:
    """tokenizer.json, tokenizer_config.json, generation_config.json."""
    tokens = field(reader, "tokenizer.ggml.tokens")
    kind = field(reader, "tokenizer.ggml.model")
    if kind == "gpt2":
        tokenizer = _byte_level(reader, tokens)
    elif kind == "llama":
        tokenizer = _sentence_piece(reader, tokens)
    else:
        raise Unsupported(f"the tokenizer is of kind {kind}; gpt2 and llama are converted")
    special = {TokenType.CONTROL, TokenType.UNKNOWN}
    tokenizer.add_special_tokens(_added(reader, tokens, special))
    tokenizer.add_tokens(_added(reader, tokens, {TokenType.USER_DEFINED}))
    named = _named_tokens(reader, tokens)
    if field(reader, "tokenizer.ggml.add_bos_token", kind == "llama") and "bos_token" in named:
        bos = named["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
            special_tokens=[(bos, tokens.index(bos))])
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", **named,
             "model_max_length": config["max_position_embeddings"],
             "clean_up_tokenization_spaces": False}
    if "tokenizer.chat_template" in reader.fields:
        about["chat_template"] = field(reader, "tokenizer.chat_template")
    write_json(folder / "tokenizer_config.json", about)
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")
           if key in config}
    write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})


def _byte_level(reader: GGUFReader, tokens: list[str]) -> Tokenizer:
    cut_name = field(reader, "tokenizer.ggml.pre", "default")
    if cut_name not in _CUTS:
        raise Unsupported(f"the tokenizer cuts text as {cut_name} does; converted are "
                          f"{', '.join(_CUTS)}")
    merges = [tuple(pair.split(" ", 1)) for pair in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, merges,
                                     ignore_merges=cut_name == "llama-bpe"))
    cut, has_regex = _CUTS[cut_name], cut_name in ("llama-bpe", "qwen2")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not has_regex)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, to_bytes]) if cut else to_bytes
    if cut_name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(reader: GGUFReader, tokens: list[str]) -> Tokenizer:
    """SentencePiece joins the pair whose token has the best score; BPE, the first of a list."""
    scores = field(reader, "tokenizer.ggml.scores")
    ids = {token: at for at, token in enumerate(tokens)}
    normal = [at for at, kind in enumerate(field(reader, "tokenizer.ggml.token_type"))
              if kind == TokenType.NORMAL]
    merges = []
    for at in normal:
        cuts = [(tokens[at][:cut], tokens[at][cut:]) for cut in range(1, len(tokens[at]))]
        merges += [(-scores[at], ids[a], ids[b], a, b) for a, b in cuts if a in ids and b in ids]
    merges.sort()
    unknown = tokens[field(reader, "tokenizer.ggml.unknown_token_id", 0)]
    tokenizer = Tokenizer(models.BPE(ids, [(a, b) for *_, a, b in merges], unk_token=unknown,
                                     fuse_unk=True, byte_fallback=True))
    space = [normalizers.Replace(" ", "▁")]
    after = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if field(reader, "tokenizer.ggml.add_space_prefix", True):
        space.insert(0, normalizers.Prepend("▁"))
        after.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(space)
    tokenizer.decoder = decoders.Sequence(after)
    return tokenizer


def _added(reader: GGUFReader, tokens: list[str], wanted: set[TokenType]) -> list[AddedToken]:
    """Tokens that text is cut at before anything else."""
    kinds = field(reader, "tokenizer.ggml.token_type")
    return [AddedToken(token, normalized=False, special=kind != TokenType.USER_DEFINED)
            for token, kind in zip(tokens, kinds, strict=True) if kind in wanted]


def _named_tokens(reader: GGUFReader, tokens: list[str]) -> dict[str, str]:
    named = {}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        at = field(reader, f"tokenizer.ggml.{key}_token_id", -1)
        if 0 <= at < len(tokens):
            named[f"{name}_token"] = tokens[at]
    return named
