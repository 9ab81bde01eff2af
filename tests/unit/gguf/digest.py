#!/usr/bin/env python3
"""Prints what real_files_test.cpp expects of GGUF files, as the `gguf` package (PyPI) reads them.

usage: tests/unit/gguf/digest.py FILE...

One line for each file: name, tensors, a digest of their names, types, shapes, offsets and sizes,
pairs of metadata, tokens, a digest of the tokens, merges. Digests are FNV-1a of 64 bits.
"""
import struct
import sys

from gguf import GGUFReader


def digest(parts):
    value = 0xCBF29CE484222325
    for part in parts:
        for byte in part:
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def tensor_parts(reader):
    for tensor in reader.tensors:
        numbers = [tensor.tensor_type, *tensor.shape, tensor.data_offset, tensor.n_bytes]
        yield tensor.name.encode()
        yield from (struct.pack("<Q", int(number)) for number in numbers)


def token_parts(reader):
    tokens = reader.fields["tokenizer.ggml.tokens"]
    for position in tokens.data:
        yield bytes(tokens.parts[position]) + b"\0"


def main():
    for path in sys.argv[1:]:
        reader = GGUFReader(path)
        pairs = sum(not key.startswith("GGUF.") for key in reader.fields)
        merges = reader.fields.get("tokenizer.ggml.merges")
        print(path.split("/")[-1], len(reader.tensors), hex(digest(tensor_parts(reader))), pairs,
              len(reader.fields["tokenizer.ggml.tokens"].data), hex(digest(token_parts(reader))),
              len(merges.data) if merges else 0)


if __name__ == "__main__":
    main()
