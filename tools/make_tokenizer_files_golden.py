#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_files.json: what the tokenizers package makes of whole files with
the shared data's vocabularies.

    python tools/make_tokenizer_files_golden.py ../shared/data > tests/golden/tokenizer_files.json

For each vocabulary and file the number of ids and the 64-bit FNV-1a hash over them, each as four
bytes, little-endian. "inp" stands for the 47 texts of ggml-vocab-*.gguf.inp, one after the other.
Needs: pip install gguf tokenizers==0.23.3
"""
import json
import struct
import sys
from pathlib import Path

from make_tokenizer_golden import FILES, fnv1a
from shared_vocabularies import vocabularies

INP = "tokenizers/ggml-vocab-gpt-2.gguf.inp"


def summary(ids):
    return [len(ids), fnv1a(struct.pack(f"<{len(ids)}i", *ids))]


def main(data):
    read = lambda name: (Path(data) / name).read_bytes().decode()  # noqa: E731
    texts = read(INP).split("\n__ggml_vocab_test__\n")
    golden = {}
    for name, make in vocabularies(data):
        tokenizer = make()
        encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
        golden[name] = {"inp": summary([one for text in texts for one in encode(text)]),
                        **{file: summary(encode(read(file))) for file in FILES}}
    print(json.dumps(golden, separators=(",", ":")).replace("},", "},\n"))


if __name__ == "__main__":
    main(*sys.argv[1:])
