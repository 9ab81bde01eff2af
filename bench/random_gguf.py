"""Writes a GGUF with the shape of a Llama model of 1 to 2 GB and random weights of one type, which
llama.cpp reads too. Vocabulary and tokenizer come from another GGUF.

usage: random_gguf.py TYPE OUT --vocabulary MODEL [--layers N]
"""
import argparse

import gguf
import numpy as np

DIM, FEED_FORWARD, HEADS, KV_HEADS = 2048, 5632, 32, 4
LAYERS = {"Q8_0": 24, "Q4_0": 40, "Q4_1": 36, "Q4_K": 40, "Q6_K": 28}  # 1.0 to 1.3 GB
PATTERN = 1 << 22  # elements that are drawn; a tensor repeats them
# Offsets of a block's f16 numbers, and values that make weights of about 0.02.
HALVES = {"Q8_0": [(0, 3e-4)], "Q4_0": [(0, 4e-3)], "Q4_1": [(0, 4e-3), (2, -3e-2)],
          "Q4_K": [(0, 1.3e-4), (2, 1e-3)], "Q6_K": [(208, 1.5e-5)]}


def pattern(kind):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = np.random.default_rng(1).integers(0, 256, (PATTERN // elements, size), np.uint8)
    for offset, value in HALVES[kind]:
        blocks[:, offset:offset + 2] = np.array([value], np.float16).view(np.uint8)
    return blocks.reshape(-1)


def copy_tokenizer(source, writer):
    for name, field in gguf.GGUFReader(source).fields.items():
        if name.startswith("tokenizer."):
            writer.add_key_value(name, field.contents(), field.types[0],
                                 field.types[-1] if len(field.types) > 1 else None)
        if name == "tokenizer.ggml.tokens":
            vocabulary = len(field.data)
    return vocabulary


def tensors(layers, vocabulary):
    """Names and shapes, [rows, columns] for matrices."""
    yield "token_embd.weight", (vocabulary, DIM)
    kv = DIM // HEADS * KV_HEADS
    for i in range(layers):
        yield f"blk.{i}.attn_norm.weight", (DIM,)
        yield f"blk.{i}.attn_q.weight", (DIM, DIM)
        yield f"blk.{i}.attn_k.weight", (kv, DIM)
        yield f"blk.{i}.attn_v.weight", (kv, DIM)
        yield f"blk.{i}.attn_output.weight", (DIM, DIM)
        yield f"blk.{i}.ffn_norm.weight", (DIM,)
        yield f"blk.{i}.ffn_gate.weight", (FEED_FORWARD, DIM)
        yield f"blk.{i}.ffn_up.weight", (FEED_FORWARD, DIM)
        yield f"blk.{i}.ffn_down.weight", (DIM, FEED_FORWARD)
    yield "output_norm.weight", (DIM,)


def write(kind, out, source, layers=None):
    layers = layers or LAYERS[kind]
    writer = gguf.GGUFWriter(out, "llama")
    vocabulary = copy_tokenizer(source, writer)
    writer.add_context_length(4096)
    writer.add_embedding_length(DIM)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(DIM // HEADS)
    writer.add_vocab_size(vocabulary)
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    shapes = list(tensors(layers, vocabulary))
    for name, shape in shapes:
        if len(shape) == 1:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
        else:
            row = shape[1] // elements * size
            writer.add_tensor_info(name, (shape[0], row), np.dtype(np.uint8), shape[0] * row,
                                   gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    blocks = pattern(kind)
    for _, shape in shapes:
        if len(shape) == 1:
            writer.write_tensor_data(np.ones(shape, np.float32))
        else:
            row = shape[1] // elements * size
            writer.write_tensor_data(np.resize(blocks, (shape[0], row)))
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("type", choices=LAYERS)
    parser.add_argument("out")
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--layers", type=int)
    arguments = parser.parse_args()
    write(arguments.type, arguments.out, arguments.vocabulary, arguments.layers)
