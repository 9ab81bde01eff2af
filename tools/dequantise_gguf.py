#!/usr/bin/env python3
"""Rewrites a GGUF file with every tensor as F32 or F16: the same weights without quantisation.

usage: dequantise_gguf.py IN.gguf OUT.gguf [--type F32|F16]   (needs the `gguf` package)

One tensor is held in memory at a time. Vectors stay F32, as every GGUF writer leaves them.
"""
import argparse
import sys

import gguf
import numpy as np

FILE_TYPES = {"F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16}
NUMBERS = {"F32": np.float32, "F16": np.float16}


def copy_metadata(reader, writer):
    replaced = {gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE,
                gguf.Keys.General.QUANTIZATION_VERSION}
    for key, field in reader.fields.items():
        if key in replaced or key.startswith("GGUF."):  # the reader's names for the header
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=element)


def dequantise(source, out, type_name="F32"):
    reader = gguf.GGUFReader(source)
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(out, architecture)
    writer.add_file_type(FILE_TYPES[type_name])
    copy_metadata(reader, writer)
    numbers = {t.name: np.dtype(NUMBERS[type_name] if len(t.shape) > 1 else np.float32)
               for t in reader.tensors}
    for tensor in reader.tensors:
        extents = [int(n) for n in reversed(tensor.shape)]  # GGUF lists columns first
        number = numbers[tensor.name]
        size = int(np.prod(extents)) * number.itemsize
        writer.add_tensor_info(tensor.name, extents, number, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.write_tensor_data(values.astype(numbers[tensor.name]))
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--type", choices=sorted(FILE_TYPES), default="F32")
    options = parser.parse_args()
    try:
        dequantise(options.source, options.out, options.type)
    except (OSError, ValueError) as error:
        sys.exit(f"dequantise_gguf: {error}")


if __name__ == "__main__":
    main()
