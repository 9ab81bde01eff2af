#!/usr/bin/env python3
"""Whether the C and C++ run times of this machine are new enough for the programs in a folder.

usage: run_time.py FOLDER...      prints what is needed and what is here; 1 where it will not do

Reads the names of versions out of the files, as `strings` would: no binutils needed.
"""
import ctypes
import re
import sys
from pathlib import Path

LIBRARIES = {"GLIBC": "libc.so.6", "GLIBCXX": "libstdc++.so.6", "CXXABI": "libstdc++.so.6"}


def newest(path, name):
    """The newest version of that name in a file, as numbers; () where there is none."""
    found = re.findall(rb"\0" + name.encode() + rb"_([0-9]+(?:\.[0-9]+)+)(?=\0)", path.read_bytes())
    return max((tuple(map(int, version.split(b"."))) for version in found), default=())


def path_of(library):
    """The file that this process gets by that name."""
    ctypes.CDLL(library)
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("/" + library) or f"/{library}." in line:
            return Path(line.split(maxsplit=5)[5])
    raise FileNotFoundError(library)


def text(version):
    return ".".join(map(str, version)) or "nothing"


def main():
    files = [path for folder in sys.argv[1:] for path in Path(folder).iterdir() if path.is_file()]
    enough = bool(files)
    for name, library in LIBRARIES.items():
        needed = max((newest(path, name) for path in files), default=())
        here = newest(path_of(library), name)
        enough = enough and needed <= here
        print(f"{name}: needed {text(needed)}, here {text(here)} ({path_of(library)})")
    if not enough:
        print("run_time: the programs cannot run here" if files else "run_time: no programs")
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
