#!/usr/bin/env python3
"""Writes the seeds of the GGUF fuzz target: small files, sound (sound_*) and broken (broken_*).

usage: tests/fuzz/make_gguf_corpus.py [FOLDER]    (else corpus/gguf beside this script)

It follows the GGUF specification and shares no code with the parser, so that the unit test that
reads these files (tests/unit/gguf/corpus_test.cpp) compares two readings of it.
"""
import struct
import sys
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
CODES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q",
         I64: "q", F64: "d"}
TENSOR_TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
                "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34),
                "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144),
                "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "BF16": (30, 1, 2)}


def number(kind, value):
    return struct.pack("<" + CODES[kind], value)


def text(value, length=None):
    data = value.encode()
    return number(U64, len(data) if length is None else length) + data


def payload(kind, value):
    if kind == STRING:
        return text(value)
    if kind == ARRAY:
        inner, items = value
        head = number(U32, inner) + number(U64, len(items))
        return head + b"".join(payload(inner, i) for i in items)
    return number(kind, value)


def pair(key, kind, value):
    return text(key) + number(U32, kind) + payload(kind, value)


def tensor(name, kind, shape, offset, type_number=None):
    known = TENSOR_TYPES[kind][0]
    return (text(name) + number(U32, len(shape)) + b"".join(number(U64, d) for d in shape)
            + number(U32, known if type_number is None else type_number) + number(U64, offset))


def data_bytes(kind, shape):
    _, elements, size = TENSOR_TYPES[kind]
    count = 1
    for dimension in shape:
        count *= dimension
    return count // elements * size


def file(pairs=(), tensors=(), data=b"", alignment=32, version=3, tensor_count=None,
         pair_count=None, magic=b"GGUF"):
    out = magic + number(U32, version)
    out += number(U64, len(tensors) if tensor_count is None else tensor_count)
    out += number(U64, len(pairs) if pair_count is None else pair_count)
    out += b"".join(pairs) + b"".join(tensors)
    return out + bytes(-len(out) % alignment if tensors else 0) + data


def all_types():
    scalars = [pair(f"k{kind}", kind, 1) for kind in CODES]
    arrays = [pair(f"a{kind}", ARRAY, (kind, [1, 0, 1])) for kind in CODES]
    return scalars + arrays + [pair("s", STRING, "text"), pair("e", STRING, "")]


def model():
    pairs = [pair("general.architecture", STRING, "llama"), pair("general.alignment", U32, 32),
             pair("llama.block_count", U32, 1), pair("llama.embedding_length", U32, 32),
             pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
             pair("tokenizer.ggml.model", STRING, "gpt2"),
             pair("tokenizer.ggml.tokens", ARRAY, (STRING, ["<s>", "a", "b", "ab"])),
             pair("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.0, -3.0])),
             pair("tokenizer.ggml.token_type", ARRAY, (I32, [3, 1, 1, 1])),
             pair("tokenizer.ggml.merges", ARRAY, (STRING, ["a b"]))]
    shapes = [("token_embd.weight", "Q4_1", [32, 4]), ("output_norm.weight", "F32", [32]),
              ("blk.0.attn_q.weight", "Q8_0", [32, 2])]
    tensors, data = [], b""
    for name, kind, shape in shapes:
        tensors.append(tensor(name, kind, shape, len(data)))
        data += bytes(data_bytes(kind, shape))
        data += bytes(-len(data) % 32)
    return {"pairs": pairs, "tensors": tensors, "data": data}


def every_tensor_type():
    tensors, data = [], b""
    for kind in TENSOR_TYPES:
        tensors.append(tensor(kind, kind, [256], len(data)))
        data += bytes(data_bytes(kind, [256]))
        data += bytes(-len(data) % 32)
    return file(tensors=tensors, data=data)


def nested(depth):
    value = (U8, [1, 2])
    for _ in range(depth - 1):
        value = (ARRAY, [value])
    return file([pair("nested", ARRAY, value)])


def sound_files():
    yield "empty", file()
    yield "all_types", file(all_types())
    yield "model", file(**model())
    yield "model_v2", file(**model(), version=2)
    yield "every_tensor_type", every_tensor_type()
    yield "nested", nested(4)
    mixed = (ARRAY, [(STRING, ["a", "b"]), (BOOL, [True, False]), (ARRAY, [(F64, [1.0])])])
    yield "nested_mixed", file([pair("mixed", ARRAY, mixed)])
    yield "alignment_64", file([pair("general.alignment", U32, 64)],
                               [tensor("a", "F32", [2, 2, 1, 1], 64), tensor("b", "F32", [1], 0)],
                               bytes(80), alignment=64)


def broken_shapes():
    one = bytes(128)
    shapes = {"zero": [0], "negative": [2**64 - 1], "wraps_to_zero": [2**32, 2**32],
              "wraps_to_32": [2**59 + 1, 32], "five": [1, 1, 1, 1, 1], "none": [],
              "huge": [2**40], "bytes_wrap": [2**62 + 32], "negative_twice": [2**64 - 8, 2**64 - 4]}
    for name, shape in shapes.items():
        yield f"shape_{name}", file(tensors=[tensor("w", "F32", shape, 0)], data=one)
    yield "rows_not_blocks", file(tensors=[tensor("w", "Q4_1", [48, 2], 0)], data=one)
    yield "tensor_type", file(tensors=[tensor("w", "F32", [8], 0, type_number=4)], data=one)
    for name, offset in {"end": 128, "wraps": 2**64 - 32, "unaligned": 1, "far": 2**40}.items():
        yield f"offset_{name}", file(tensors=[tensor("w", "F32", [8], offset)], data=one)
    twins = [tensor("w", "F32", [8], 0), tensor("w", "F32", [8], 32)]
    yield "tensor_twice", file(tensors=twins, data=one)
    overlap = [tensor("a", "F32", [16], 0), tensor("b", "F32", [16], 32)]
    yield "tensors_overlap", file(tensors=overlap, data=one)


def broken_metadata():
    key = text("key")
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "version_1", b"GGUF" + struct.pack("<III", 1, 0, 0)
    yield "magic", file(magic=b"GGML")
    yield "tensor_count", file(tensor_count=2**63)
    yield "pair_count", file(pair_count=2**64 - 1)
    yield "pair_count_by_one", file([pair("a", U64, 1), pair("b", U64, 1)], pair_count=3)
    yield "string_length", file([key + number(U32, STRING) + text("value", 2**64 - 1)])
    yield "key_length", file([text("key", 2**62) + number(U32, U64) + number(U64, 0)])
    yield "array_length", file([key + number(U32, ARRAY) + number(U32, U64) + number(U64, 2**61)])
    yield "array_of_unknown", file([key + number(U32, ARRAY) + number(U32, 13) + bytes(8)])
    yield "unknown_type", file([key + number(U32, 13) + bytes(8)])
    yield "bool", file([key + number(U32, BOOL) + b"\x02 padding"])
    yield "nested_too_deep", nested(5)
    yield "nested_very_deep", nested(200)
    yield "key_twice", file([pair("key", U64, 1), pair("key", STRING, "x")])
    yield "key_empty", file([pair("", U64, 1)])
    for name, (kind, value) in {"zero": (U32, 0), "odd": (U32, 48), "text": (STRING, "32"),
                                "negative": (I32, -32), "huge": (U64, 2**63)}.items():
        yield f"alignment_{name}", file([pair("general.alignment", kind, value)])
    whole = file(**model())
    for size in (0, 3, 4, 8, 23, 24, 100, 300, 500, len(whole) - 64):
        yield f"truncated_{size}", whole[:size]


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "corpus" / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, files in (("sound", [*sound_files()]), ("broken", [*broken_shapes(),
                                                                *broken_metadata()])):
        for name, content in files:
            (folder / f"{kind}_{name}").write_bytes(content)


if __name__ == "__main__":
    main()
