#!/usr/bin/env python3
"""Converts a llama2.c checkpoint and its tokenizer into a GGUF file, F32 throughout.

usage: convert_llama2c.py CHECKPOINT.bin TOKENIZER.bin OUT.gguf   (needs the `gguf` package)

llama2.c rotates neighbouring pairs, which is the layout GGUF's "llama" architecture means, so no
rows of the query and key weights move. tests/golden/test_reference.py checks what comes out.
"""
import argparse
import dataclasses
import struct
import sys
from pathlib import Path

import gguf
import numpy as np

HEADER = struct.Struct("<7i")
BOS, EOS, UNKNOWN = 1, 2, 0
RMS_EPSILON = 1e-5  # llama2.c keeps these two in its source, not in the file
ROPE_BASE = 10000.0


class BadFile(Exception):
    """The input is not what it says it is."""


@dataclasses.dataclass
class Shape:
    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int

    @property
    def head_dim(self):
        return self.dim // self.heads


def read_checkpoint(path):
    """Returns (Shape, {GGUF tensor name: float32 array [rows, columns]})."""
    data = Path(path).read_bytes()
    if len(data) < HEADER.size:
        raise BadFile(f"{path}: {len(data)} bytes hold no llama2.c header")
    fields = HEADER.unpack_from(data)
    tied = fields[5] > 0  # a negative vocabulary size marks an output matrix of its own
    shape = Shape(*fields[:5], abs(fields[5]), fields[6])
    if min(dataclasses.astuple(shape)) <= 0 or shape.dim % shape.heads:
        raise BadFile(f"{path}: no llama2.c header: {fields}")
    weights = np.frombuffer(data, "<f4", offset=HEADER.size, count=(len(data) - HEADER.size) // 4)
    taken = 0

    def take(*extents):
        nonlocal taken
        count = int(np.prod(extents))
        if taken + count > weights.size:
            raise BadFile(f"{path}: ends within tensor data: {weights.size} floats, "
                          f"needs {taken + count} or more")
        taken += count
        return weights[taken - count:taken].reshape(extents)

    dim, layers, kv_dim = shape.dim, shape.layers, shape.kv_heads * shape.head_dim
    tensors = {"token_embd.weight": take(shape.vocabulary, dim)}
    # llama2.c stores each kind of weight for all layers together, in this order.
    kinds = [("attn_norm", (dim,)), ("attn_q", (dim, dim)), ("attn_k", (kv_dim, dim)),
             ("attn_v", (kv_dim, dim)), ("attn_output", (dim, dim)), ("ffn_norm", (dim,)),
             ("ffn_gate", (shape.hidden, dim)), ("ffn_down", (dim, shape.hidden)),
             ("ffn_up", (shape.hidden, dim))]
    for kind, extents in kinds:
        for layer, weight in enumerate(take(layers, *extents)):
            tensors[f"blk.{layer}.{kind}.weight"] = weight
    tensors["output_norm.weight"] = take(dim)
    take(2, shape.context, shape.head_dim // 2)  # rotation tables: readers compute their own
    if not tied:
        tensors["output.weight"] = take(shape.vocabulary, dim)
    if taken != weights.size:
        raise BadFile(f"{path}: {weights.size - taken} floats left over")
    return shape, tensors


def read_tokenizer(path, count):
    """Returns (texts as bytes, scores, GGUF token types), ids in order."""
    data = Path(path).read_bytes()
    texts, scores, types, offset = [], [], [], 4  # 4: the longest token's length, unused
    for token in range(count):
        if offset + 8 > len(data):
            raise BadFile(f"{path}: ends at token {token} of {count}")
        score, length = struct.unpack_from("<fi", data, offset)
        offset += 8
        if not 0 <= length <= len(data) - offset:
            raise BadFile(f"{path}: token {token} has length {length}")
        text = data[offset:offset + length]
        offset += length
        scores.append(score)
        types.append(token_type(token, text))
        texts.append(special_text(token) or text.replace(b" ", "\u2581".encode()))
    return texts, scores, types


def special_text(token):
    """llama2.c writes line ends around these; GGUF readers look for the bare names."""
    return {UNKNOWN: b"<unk>", BOS: b"<s>", EOS: b"</s>"}.get(token)


def token_type(token, text):
    if token == UNKNOWN:
        return gguf.TokenType.UNKNOWN
    if token in (BOS, EOS):
        return gguf.TokenType.CONTROL
    if len(text) == 6 and text.startswith(b"<0x") and text.endswith(b">"):
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL


def write_gguf(path, shape, tensors, tokenizer):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(Path(path).stem)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(RMS_EPSILON)
    writer.add_vocab_size(shape.vocabulary)
    texts, scores, types = tokenizer
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    for name, tensor in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(checkpoint, tokenizer, out):
    shape, tensors = read_checkpoint(checkpoint)
    write_gguf(out, shape, tensors, read_tokenizer(tokenizer, shape.vocabulary))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("tokenizer")
    parser.add_argument("out")
    options = parser.parse_args()
    try:
        convert(options.checkpoint, options.tokenizer, options.out)
    except (BadFile, OSError) as error:
        sys.exit(f"convert_llama2c: {error}")


if __name__ == "__main__":
    main()
