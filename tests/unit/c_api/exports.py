#!/usr/bin/env python3
"""Holds what libspillway.so exports against its headers: those functions, and nothing else.

usage: exports.py LIBRARY HEADER...
"""
import re
import subprocess
import sys
from pathlib import Path


def exported(library):
    table = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                           capture_output=True).stdout
    return {line.split()[-1] for line in table.splitlines()}


def declared(headers):
    code = re.sub(r"//.*", "", "".join(Path(header).read_text() for header in headers))
    return set(re.findall(r"\b(spillway_\w+)\s*\(", code))


def main():
    library, header = exported(sys.argv[1]), declared(sys.argv[2:])
    for name in sorted(header - library):
        print(f"{name} is declared and not exported")
    for name in sorted(library - header):
        print(f"{name} is exported and not declared")
    print(f"{len(library & header)} functions are both")
    sys.exit(1 if library != header or not header else 0)


if __name__ == "__main__":
    main()
