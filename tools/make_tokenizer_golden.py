#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_smollm2.jsonl: texts and the ids that llama.cpp gives them.

    python tools/make_tokenizer_golden.py models/SmolLM2-135M-Instruct.Q4_1.gguf ../shared/data \
        > tests/golden/tokenizer_smollm2.jsonl       # needs: pip install llama-cpp-python

A line is {"text", "plain", "special"}: the ids without and with special tokens parsed; or {"file",
"count", "fnv1a"}: how many ids a whole file of the shared data has and the 64-bit FNV-1a hash over
them, each as four bytes, little-endian.
"""
import json
import struct
import sys

TEXTS = [
    "", " ", "  ", "\n", "\t\t", " \n \n\n x", "Hello world", " Hello  world!",
    "3.14159 and 2,718", "year 1789–1815, ½ ⅓ Ⅷ ٣٤ ९",
    "I'll say we've it's they're I'm he'd don't", "I'LL SAY WE'VE IT'S",
    "'s't're've'm'll'd", "don’t", "naïve café Übergröße Straße", "Привет, как дела?",
    "你好，世界！漢字かなカナ", "한국어 텍스트", "שלום עולם مرحبا بالعالم",
    "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 😀😃", "e\u0301 vs \u00e9",
    "a\u00a0b\u2003c\u3000d\u0085e\u180ef",
    "for (int i = 0; i < n; ++i) {\n    a[i] += b[i];  // sum\n}\n",
    "def f(x):\n\treturn x**2\n\n\n", "https://example.org/path?q=1&r=%20#frag",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext|><|endoftext|>", "a<|im_end|", "<<|im_end|>>",
    "<repo_name>x<file_sep>y", "=" * 77, "a" * 100, " " * 63 + "x",
    "\r\n\r\nwindows\r\n", "tabs\t and  spaces \t", "1234567890" * 3, "....!!!???;;;",
    "$\\frac{a}{b}$ ∑∫√≠≤", "SELECT * FROM t WHERE id = 'x''y';",
    "\u200bzero\u200dwidth\ufeff",
]
FILES = ["text/frankenstein.txt", "text/wiki.test.raw"]


def fnv1a(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def main(model_path: str, data_path: str) -> None:
    import llama_cpp
    model = llama_cpp.Llama(model_path, vocab_only=True, verbose=False)

    def encode(data: bytes, special: bool) -> list[int]:
        return model.tokenize(data, add_bos=False, special=special)

    texts = list(TEXTS)
    for name in FILES:
        lines = [line for line in open(f"{data_path}/{name}", encoding="utf-8") if len(line) > 60]
        texts += [line[:160] for line in lines[100 :: len(lines) // 4]][:4]
    for text in texts:
        data = text.encode()
        line = {"text": text, "plain": encode(data, False), "special": encode(data, True)}
        print(json.dumps(line, ensure_ascii=False))
    for name in FILES:
        ids = encode(open(f"{data_path}/{name}", "rb").read(), False)
        line = {"file": name, "count": len(ids), "fnv1a": fnv1a(struct.pack(f"<{len(ids)}i", *ids))}
        print(json.dumps(line))


if __name__ == "__main__":
    main(*sys.argv[1:])
