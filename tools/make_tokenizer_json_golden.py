#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_json.json: tokenizer.json files and the ids that the tokenizers
package gives for them.

    python tools/make_tokenizer_json_golden.py ../shared/data > tests/golden/tokenizer_json.json

Needs: pip install tokenizers==0.23.3. Two small vocabularies are trained, one of bytes and one of
characters; each case is one of them with the steps that a family of models has. Of the shared
data's texts each case has the number of ids and the 64-bit FNV-1a hash over them, each as four
bytes, little-endian.
"""
import json
import struct
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from make_tokenizer_golden import FILES, TEXTS, fnv1a

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CAPITALS, SMALLS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{CAPITALS}*{SMALLS}+|[^\r\n\p{{L}}\p{{N}}]?{CAPITALS}+{SMALLS}*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
             "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
             "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$",
                  r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+", r"\p{N}+"]


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


def byte_level(use_regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True,
            "use_regex": use_regex}


def metaspace(scheme, cut):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}


def added(first, *tokens):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
    return [{"id": first + at, "content": text, **plain, **flags}
            for at, (text, flags) in enumerate(tokens)]


def around(before=None, after=None):
    token = lambda text: {"SpecialToken": {"id": text, "type_id": 0}}  # noqa: E731
    single = [*([token(before)] if before else []), {"Sequence": {"id": "A", "type_id": 0}},
              *([token(after)] if after else [])]
    ids = {"<s>": 1, "</s>": 2, "<|begin|>": FIRST_ADDED}
    return {"type": "TemplateProcessing", "single": single, "pair": single + [
        {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {
            text: {"id": text, "ids": [ids[text]], "tokens": [text]}
            for text in (before, after) if text}}


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Prepend", "prepend": "▁"}
SPACES_BACK = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
               {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
FIRST_ADDED = 600
BYTES = {"normalizer": None, "post_processor": None, "decoder": byte_level(),
         "added_tokens": added(FIRST_ADDED, ("<|begin|>", {}), ("<|im_start|>", {}),
                               ("<|im_end|>", {}), ("<repo_name>", {"special": False}))}
CHARACTERS = {"normalizer": sequence("normalizers", PREPEND, REPLACE), "pre_tokenizer": None,
              "post_processor": around("<s>"), "model": {"byte_fallback": True, "fuse_unk": True},
              "decoder": sequence("decoders", *SPACES_BACK, STRIP),
              "added_tokens": added(0, ("<unk>", {}), ("<s>", {}), ("</s>", {}))}
NO_PREPEND = {"decoder": sequence("decoders", *SPACES_BACK), "normalizer": REPLACE}

CASES = {
    "gpt2": {**BYTES, "pre_tokenizer": byte_level(use_regex=True)},
    "prefix_space": {**BYTES, "pre_tokenizer": byte_level(use_regex=True, prefix=True)},
    "smollm": {**BYTES, "pre_tokenizer": sequence(
        "pretokenizers", {"type": "Digits", "individual_digits": True}, byte_level(True))},
    "llama3": {**BYTES, "model": {"ignore_merges": True},
               "pre_tokenizer": sequence("pretokenizers", split(LLAMA3), byte_level()),
               "post_processor": sequence("processors", byte_level(), around("<|begin|>"))},
    "qwen2": {**BYTES, "normalizer": {"type": "NFC"},
              "pre_tokenizer": sequence("pretokenizers", split(QWEN2), byte_level())},
    "tekken": {**BYTES, "pre_tokenizer": sequence("pretokenizers", split(TEKKEN), byte_level())},
    "deepseek3": {**BYTES, "pre_tokenizer": sequence(
        "pretokenizers", *map(split, DEEPSEEK3), byte_level())},
    "deepseek_coder": {**BYTES, "pre_tokenizer": sequence(
        "pretokenizers", *map(split, DEEPSEEK_CODER), byte_level())},
    "behaviors": {**BYTES, "normalizer": sequence("normalizers", {"type": "NFKD"}),
                  "pre_tokenizer": sequence(
        "pretokenizers", split("[aeiou]", "Contiguous"), split("t", "MergedWithPrevious"),
        split("[sr]", "MergedWithNext"), split(".", "Removed", kind="String"),
        split(r"[\p{L}\p{M}]+|\d", "Isolated", invert=True),
        {"type": "Punctuation", "behavior": "Isolated"}, byte_level())},
    "word_rules": {**BYTES, "pre_tokenizer": byte_level(use_regex=True), "added_tokens": added(
        FIRST_ADDED, ("<|im_start|>", {"rstrip": True}), ("<|im_end|>", {"lstrip": True}),
        ("don", {"single_word": True, "special": False}),
        ("the", {"single_word": True, "lstrip": True, "rstrip": True, "normalized": True,
                 "special": False}))},
    "llama2": CHARACTERS,
    "normalized": {**CHARACTERS, "added_tokens": added(
        0, ("<unk>", {"normalized": True}), ("<s>", {"normalized": True}),
        ("</s>", {"normalized": True})) + added(
            FIRST_ADDED, ("<|im_end|>", {"normalized": True, "special": False}),
            ("Hello world", {"normalized": True, "special": False}))},
    "phi3": {**CHARACTERS, "added_tokens": CHARACTERS["added_tokens"][:2] + added(
        2, ("</s>", {"rstrip": True, "special": False})) + added(
            FIRST_ADDED, ("<|im_start|>", {"rstrip": True}), ("<|im_end|>", {"rstrip": True}))},
    "mistral": {**CHARACTERS, "normalizer": None, "pre_tokenizer": metaspace("first", False)},
    "metaspace": {**CHARACTERS, "normalizer": None, "pre_tokenizer": metaspace("always", True),
                  "post_processor": around("<s>", "</s>"),
                  "decoder": metaspace("always", True)},
    "gemma": {**CHARACTERS, **NO_PREPEND,
              "pre_tokenizer": split(" ", "MergedWithPrevious", kind="String"),
              "added_tokens": CHARACTERS["added_tokens"] + added(
                  FIRST_ADDED, ("\n\n", {"special": False}), ("▁▁▁", {"special": False}))},
    "no_fallback": {**CHARACTERS, **NO_PREPEND, "model": {"byte_fallback": False,
                                                          "fuse_unk": False}},
}
WHOLE_FILES = {"llama3", "qwen2", "llama2"}  # the others take the first of the files
MORE_TEXTS = ["e\u0301 A\u030a ｆｕｌｌ ﬁ", "I don't know the<|im_end|> the  \n <|im_start|>  \n user",
              "done don't  don ", "x</s> y <s>z", "Hello world", " Hello world Hello worlds",
              "a\n\nb\n\n\n   c", "▁▁▁ a▁b", "日本 ☃ 語", "l\u2019\u017f 'S 'Re 'ſ"]


def train(model, pre_tokenizer, size, specials, alphabet, lines):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [" ".join(merge) for merge in model["merges"]]}


def train_both(data_path):
    lines = [line for name in FILES for line in
             open(f"{data_path}/{name}", encoding="utf-8").readlines()[:4000:4]]
    bytes_ = train(models.BPE(), pre_tokenizers.ByteLevel(add_prefix_space=False), FIRST_ADDED, [],
                   pre_tokenizers.ByteLevel.alphabet(), lines)
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    characters = train(models.BPE(), pre_tokenizers.Metaspace(), FIRST_ADDED,
                       ["<unk>", "<s>", "</s>", *fallback], [],
                       [line[:200] for line in lines if line.isascii()])
    return {"bytes": bytes_, "characters": characters}


def main(data_path):
    trained = train_both(data_path)
    files = {name: open(f"{data_path}/{name}", encoding="utf-8", newline="").read()
             for name in FILES}
    texts = TEXTS + MORE_TEXTS
    cases = []
    for name, parts in CASES.items():
        base = "bytes" if parts["decoder"] == byte_level() else "characters"
        model = {"type": "BPE", "dropout": None, "continuing_subword_prefix": None,
                 "end_of_word_suffix": None, "unk_token": None if base == "bytes" else "<unk>",
                 "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                 **parts.get("model", {})}
        config = {"version": "1.0", "truncation": None, "padding": None, **parts, "model": model}
        full = {**config, "model": {**model, **trained[base]}}
        tokenizer = Tokenizer.from_str(json.dumps(full))
        of_files = {}
        for file, text in list(files.items())[: None if name in WHOLE_FILES else 1]:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            of_files[file] = {"count": len(ids),
                              "fnv1a": fnv1a(struct.pack(f"<{len(ids)}i", *ids))}
        cases.append({"name": name, "base": base, "tokenizer": config, "files": of_files,
                      "ids": [tokenizer.encode(text).ids for text in texts]})
    print(json.dumps({**trained, "texts": texts, "cases": cases}, ensure_ascii=False,
                     separators=(",", ":")).replace(',{"name"', ',\n{"name"'))


if __name__ == "__main__":
    main(*sys.argv[1:])
