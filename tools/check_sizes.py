#!/usr/bin/env python3
"""Holds the small forms of every file of code: length, columns, first lines, leftovers.

How long functions are is clang-tidy's to say (.clang-tidy, readability-function-size).
"""
import re
import subprocess
from pathlib import Path

import house
from house import Finding

MOST_LINES = 300
MOST_COLUMNS = 100
RULES = {"file-length", "columns", "first-line", "pragma-once", "leftover", "nolint", "host-path",
         "top-level", "exceptions-grew"}
TOP_LEVEL = {".ci", "apps", "bench", "docs", "examples", "include", "plugins", "src", "tests",
             "tools", ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore",
             "CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md", "LICENSE", "Makefile",
             "README.md"}
SCRIPTS = {"tools", ".ci", "tests"}  # files without an extension are programs here
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
NOLINT = re.compile(r"NOLINT(NEXTLINE|BEGIN)?\b(?!\([a-z0-9.,\- ]+\): \S)")
HOST_PATH = re.compile(r"(?<![\w.])/(work|root|home)/\w")


def is_code(path):
    suffix, first = Path(path).suffix, Path(path).parts[0]
    return (suffix in {".c", ".cpp", ".h", ".cu", ".cuh", ".py", ".sh"}
            or (suffix == "" and first in SCRIPTS and "corpus" not in Path(path).parts))


def check_line(path, number, line):
    if len(line) > MOST_COLUMNS:
        yield Finding("columns", path, number, f"{len(line)} columns, {MOST_COLUMNS} at most",
                      len(line))
    if LEFTOVER.search(line):
        yield Finding("leftover", path, number, "finish it, or name it in docs/status.md")
    if path != "tools/check_sizes.py" and NOLINT.search(line):
        yield Finding("nolint", path, number, "write NOLINT(name-of-the-check): why")
    if HOST_PATH.search(line):
        yield Finding("host-path", path, number, "a path of somebody's machine")


def check_file(path, text):
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        yield Finding("file-length", path, 1, f"{len(lines)} lines, {MOST_LINES} at most",
                      len(lines))
    if path.endswith((".h", ".cuh")):
        if not text.startswith("//"):
            yield Finding("first-line", path, 1, "say what it is, who owns it, which threads")
        # Highway reads its -inl.h files once per instruction set: they guard themselves.
        if not path.endswith("-inl.h") and "#pragma once" not in lines:
            yield Finding("pragma-once", path, 1, "a header needs #pragma once")
    for number, line in enumerate(lines, 1):
        yield from check_line(path, number, line)


def check_exceptions(root):
    """Against the main branch of the remote, if there is one, else against the last commit."""
    for base in ("origin/main", "HEAD"):
        shown = subprocess.run(["git", "show", f"{base}:{house.EXCEPTIONS}"], cwd=root, text=True,
                               capture_output=True)
        if shown.returncode == 0:
            before = house.parse_exceptions(shown.stdout)
            for key, value in house.exceptions(root).items():
                if key not in before or value > before[key]:
                    yield Finding("exceptions-grew", house.EXCEPTIONS, 1,
                                  f"'{' '.join(key)}' is new or larger than in {base}")
            return


def check(root):
    findings, paths = list(check_exceptions(root)), house.tracked(root=root)
    for name in sorted({path.split("/")[0] for path in paths} - TOP_LEVEL):
        findings.append(Finding("top-level", name, 1, "has no room in this house: does it belong?"))
    for path in filter(is_code, paths):
        findings += check_file(path, (root / path).read_text(errors="replace"))
    return findings


if __name__ == "__main__":
    house.report(check(house.ROOT), RULES)
