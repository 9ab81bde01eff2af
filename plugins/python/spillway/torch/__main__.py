"""Runs a script that knows nothing of Spillway under enable()."""
from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

import spillway.torch
from spillway import library

USAGE, BUDGET, MACHINE = 2, 4, 5  # exit codes, as the program `spillway` has them


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the script with its own."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-m":
        at += 1 if "=" in words[at] or words[at] in ("-h", "--help") else 2
    return words[:at], words[at:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spillway.torch", description=__doc__, allow_abbrev=False,
        usage="%(prog)s [--hbm-budget SIZE] [--host-budget SIZE] [--cpu-rows auto] "
              "[--cpu-attention auto] [--packing off] "
              "(SCRIPT | -m MODULE) [ARGUMENT…]",
        epilog="A budget that is not given is $SPILLWAY_HBM_BUDGET or $SPILLWAY_HOST_BUDGET, else "
               "0.9 of what is free. Sizes: 12GiB, 1.5GB, 800MiB.")
    parser.add_argument("--hbm-budget", metavar="SIZE", help="of the GPU's memory")
    parser.add_argument("--host-budget", metavar="SIZE", help="of the host's memory, for weights")
    parser.add_argument("--cpu-rows", metavar="auto|SHARE", default="off",
                        help="let the CPU multiply a share of the rows of weights that stream")
    parser.add_argument("--cpu-attention", metavar="auto|SHARE", default="off",
                        help="let the CPU attend to a share of the tokens of KV caches in the host")
    parser.add_argument("--packing", metavar="on|off|in-place|staged", default=None,
                        help="send bfloat16 weights packed over the link (on)")
    return parser


def main(words: list[str]) -> None:
    parser = _parser()
    ours, theirs = _split(words)
    options = parser.parse_args(ours)
    if not theirs or theirs == ["-m"]:
        parser.error("name the script to run, or -m and a module")
    if theirs[0] != "-m" and not Path(theirs[0]).exists():
        parser.error(f"there is no {theirs[0]}")
    try:
        spillway.torch.enable(options.hbm_budget, options.host_budget,
                              cpu_rows=options.cpu_rows, cpu_attention=options.cpu_attention,
                              packing=options.packing)
    except ValueError as error:
        parser.error(str(error))
    except library.Error as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(BUDGET if isinstance(error, library.BudgetError) else MACHINE)
    if theirs[0] == "-m":
        sys.argv, sys.path[0] = theirs[1:], ""
        runpy.run_module(theirs[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = theirs, str(Path(theirs[0]).resolve().parent)
        runpy.run_path(theirs[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
