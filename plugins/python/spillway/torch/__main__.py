"""Runs a script that knows nothing of Spillway under enable()."""
from __future__ import annotations

import argparse
import runpy
import sys

import spillway.torch


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spillway.torch", description=__doc__)
    parser.add_argument("--hbm-budget",
                        help="of the GPU's memory, such as 12GiB; default 0.9 of what is free")
    parser.add_argument("--host-budget", help="of the host's memory; default 0.9 of what is free")
    parser.add_argument("script", help="a Python file, with its arguments behind it")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        spillway.torch.enable(options.hbm_budget, options.host_budget)
    except ValueError as error:
        parser.error(str(error))
    sys.argv = [options.script, *options.arguments]
    runpy.run_path(options.script, run_name="__main__")


if __name__ == "__main__":
    main()
