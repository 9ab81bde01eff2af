"""Makes a Hugging Face folder of a GGUF file: `python -m spillway.convert MODEL.gguf FOLDER`.

The folder holds the weights in bfloat16 (model.safetensors), the configuration, the tokenizer with
its chat template, and the defaults of generation: transformers loads it like one from the hub.
Llama-architecture files only. Weights pass through memory a few MiB at a time.
Needs the packages gguf, tokenizers and numpy.
"""
from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader

from spillway import convert_tokenizer
from spillway.convert_config import Unsupported, llama_config, write_json

_BLOCK_BYTES = 16 << 20  # of float32, on the way from GGUF's blocks to bfloat16
_PAGE = 4096  # the weights begin at one, so that more of them can be read without the page cache

_ONCE = {"token_embd.weight": "model.embed_tokens.weight",
         "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
_LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj",
          "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
          "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
          "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_DERIVED = {"rope_freqs.weight"}  # follows from the configuration


def convert(source: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Raises Unsupported for what no folder can be made of, OSError for files and the disk.

    The folder must not exist; it is there when it is complete, not before.
    """
    source, folder = Path(source), Path(folder)
    if folder.exists():
        raise FileExistsError(errno.EEXIST, "is there already: name another folder, or remove it",
                              str(folder))
    reader = _open(source)
    config = llama_config(reader)
    weights = _weights(reader, config)
    size = sum(2 * tensor.n_elements for tensor in weights.values())
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if size > free:
        raise OSError(errno.ENOSPC, f"the weights take {size >> 20} MiB in bfloat16, and "
                      f"{free >> 20} MiB are free", str(folder.parent))
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        draft.chmod(0o755)  # mkdtemp makes it for its owner alone
        write_json(draft / "config.json", config)
        convert_tokenizer.write(reader, draft, config)
        _write_weights(draft / "model.safetensors", weights, config)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _open(source: Path) -> GGUFReader:
    with open(source, "rb") as file:
        if file.read(4) != b"GGUF":
            raise Unsupported(f"{source} is not a GGUF file: it does not begin with GGUF")
    try:
        return GGUFReader(source)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise Unsupported(f"{source} is damaged, or not all there: {error}") from error


def _weights(reader: GGUFReader, config: dict) -> dict[str, gguf.ReaderTensor]:
    """By the names that transformers has for them."""
    found = {}
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if tensor.name in _ONCE:
            found[_ONCE[tensor.name]] = tensor
        elif parts[0] == "blk" and len(parts) == 4 and parts[2] in _LAYER and parts[3] == "weight":
            found[f"model.layers.{parts[1]}.{_LAYER[parts[2]]}.weight"] = tensor
        elif tensor.name not in _DERIVED:
            raise Unsupported(f"the tensor {tensor.name} has no place in a Llama of transformers")
    layers = range(config["num_hidden_layers"])
    wanted = [_ONCE["token_embd.weight"], _ONCE["output_norm.weight"]] + [
        f"model.layers.{layer}.{name}.weight" for layer in layers for name in _LAYER.values()]
    if missing := [name for name in wanted if name not in found]:
        raise Unsupported(f"{len(missing)} tensors are missing, {missing[0]} the first")
    return found


def _heads(name: str, config: dict) -> int:
    """Whose rows llama.cpp has reordered: heads of the tensor, 0 where it has not."""
    return {"q_proj": config["num_attention_heads"],
            "k_proj": config["num_key_value_heads"]}.get(name.split(".")[-2], 0)


def _row_order(rows: int, heads: int) -> np.ndarray:
    """llama.cpp puts the two halves of a head that RoPE pairs beside each other; this undoes it."""
    order = np.arange(rows)
    return order.reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1) if heads else order


def _bfloat16(tensor: gguf.ReaderTensor, heads: int) -> Iterator[np.ndarray]:
    """The tensor's values, some rows at a time."""
    data = np.atleast_2d(tensor.data)
    columns = int(tensor.shape[0])
    order = _row_order(data.shape[0], heads)
    step = max(1, _BLOCK_BYTES // (4 * columns))
    for at in range(0, len(order), step):
        values = gguf.quants.dequantize(data[order[at:at + step]], tensor.tensor_type)
        yield gguf.quants.quantize(values.astype(np.float32, copy=False),
                                   GGMLQuantizationType.BF16)


def _write_weights(path: Path, weights: dict[str, gguf.ReaderTensor], config: dict) -> None:
    """The safetensors format: 8 bytes of length, that much JSON, then the bytes one after another.
    The package of that name takes all tensors at once."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in weights.items():
        size = 2 * int(tensor.n_elements)
        shape = [int(n) for n in reversed(tensor.shape)]  # GGUF lists columns first
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _PAGE)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in weights.items():
            for values in _bfloat16(tensor, _heads(name, config)):
                file.write(values.tobytes())


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m spillway.convert",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="MODEL.gguf")
    parser.add_argument("folder", metavar="FOLDER", help="is made; must not exist")
    options = parser.parse_args(words)
    try:
        convert(options.source, options.folder)
    except (OSError, Unsupported) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(5 if isinstance(error, OSError) else 3)


if __name__ == "__main__":
    main(sys.argv[1:])
