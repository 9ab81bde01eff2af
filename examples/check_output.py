#!/usr/bin/env python3
"""Runs an example and holds what it prints against a file, line by line.

usage: check_output.py EXPECTED PROGRAM [ARGUMENT...]
"""
import difflib
import subprocess
import sys
from pathlib import Path


def main():
    expected = Path(sys.argv[1]).read_text()
    done = subprocess.run(sys.argv[2:], text=True, stdout=subprocess.PIPE, timeout=120)
    sys.stdout.writelines(difflib.unified_diff(
        expected.splitlines(keepends=True), done.stdout.splitlines(keepends=True),
        "expected", "printed"))
    sys.exit(1 if done.returncode != 0 or done.stdout != expected else 0)


if __name__ == "__main__":
    main()
