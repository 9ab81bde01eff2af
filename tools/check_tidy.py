#!/usr/bin/env python3
"""Runs clang-tidy (.clang-tidy) over every source file that changed since it last passed.

usage: tools/check_tidy.py [--all] [FILE...]

A file's key is the hash of what its verdict depends on: itself, the headers of ours that it
includes, its compile command, the .clang-tidy files. Keys of files that passed lie in .cache/tidy.
"""
import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import house

PASSED = house.ROOT / ".cache" / "tidy"
DATABASE = house.ROOT / "build" / "tidy" / "compile_commands.json"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
ROOTS = ("src", "include", "tests")
GCC_ONLY = {"-fno-tree-reassoc"}  # optimisations that clang's driver does not know by name


def includes(path):
    """The headers of ours that a file includes."""
    names = INCLUDE.findall(path.read_text(errors="replace"))
    candidates = [folder / name for name in names
                  for folder in (path.parent, *(house.ROOT / root for root in ROOTS))]
    return [candidate.resolve() for candidate in candidates if candidate.is_file()]


@functools.cache
def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def key_of(source, command, rules):
    seen, open_ends = set(), [source]
    while open_ends:
        path = open_ends.pop()
        if path not in seen:
            seen.add(path)
            open_ends += includes(path)
    parts = [command, *map(digest_of, rules), *sorted(map(digest_of, seen))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def run(source, command):
    """Returns (what clang-tidy found, seconds)."""
    start = time.monotonic()
    options = [option for option in shlex.split(command)[1:] if option not in GCC_ONLY]
    # -w: warnings are for the build to say, whose compiler the options were written for.
    command = ["clang-tidy", "--quiet", source, "--", *options, "-w"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    text = done.stdout if done.stdout.strip() else done.stderr
    return (text if done.returncode != 0 else ""), time.monotonic() - start


def once(text, seen):
    """Drops findings that another file has shown already: headers are read many times."""
    blocks = re.split(r"(?m)^(?=/\S+:\d+:\d+: (?:warning|error):)", text)
    fresh = [block for block in blocks if block.strip() and block not in seen]
    seen.update(fresh)
    return "".join(fresh).replace(f"{house.ROOT}/", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="also files that passed before")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    commands = {Path(entry["file"]): entry["command"] for entry in json.loads(DATABASE.read_text())}
    wanted = {file.resolve() for file in options.files} or set(commands)
    rules = [house.ROOT / name for name in house.tracked(".clang-tidy")]
    keys = {source: key_of(source, commands[source], rules) for source in wanted & set(commands)}
    PASSED.mkdir(parents=True, exist_ok=True)
    due = sorted(source for source, key in keys.items()
                 if options.all or not (PASSED / key).exists())
    seen, failed = set(), 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, (text, seconds) in zip(due, pool.map(run, due, map(commands.get, due))):
            failed += bool(text)
            print(f"clang-tidy {source.relative_to(house.ROOT)}: "
                  f"{'FAILED' if text else 'passed'} in {seconds:.1f} s", flush=True)
            print(once(text, seen), end="", flush=True)
            if not text:
                (PASSED / keys[source]).touch()
    print(f"clang-tidy: {len(due)} of {len(keys)} files read, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
