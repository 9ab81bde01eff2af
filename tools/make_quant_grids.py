#!/usr/bin/env python3
"""Writes src/ops/cpu/scalar/grids_*.cpp, the codebooks of the IQ formats, as the gguf package has
them: facts of the format, packed as it packs them.

    python tools/make_quant_grids.py src/ops/cpu/scalar     # needs: pip install gguf numpy
"""
import pathlib
import sys

import numpy as np
from gguf import quants

HEAD = """// Written by tools/make_quant_grids.py from the gguf package's gguf/quants.py.
#include "ops/cpu/scalar/grids.h"

namespace spillway::ops::cpu::scalar {

"""
TAIL = "}  // namespace spillway::ops::cpu::scalar\n"
FILES = {"grids_iq1.cpp": ["IQ1_S"], "grids_iq2.cpp": ["IQ2_XXS", "IQ2_XS", "IQ2_S"],
         "grids_iq3.cpp": ["IQ3_XXS", "IQ3_S"]}


def table(name):
    words = np.frombuffer(bytes.fromhex(getattr(quants, name).grid_hex.decode()), "<u2")
    items = [f"0x{word:04X}," for word in words]
    lines = ["    " + " ".join(items[at:at + 12]) for at in range(0, len(items), 12)]
    title = "k" + name.title().replace("_", "") + "Grid"
    body = "\n".join(lines).rstrip(",")
    return f"const std::array<uint16_t, {len(words)}> {title} = {{\n{body}}};\n\n"


def main(folder):
    for file, names in FILES.items():
        text = HEAD + "".join(table(name) for name in names) + TAIL
        (pathlib.Path(folder) / file).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
