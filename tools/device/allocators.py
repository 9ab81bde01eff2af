#!/usr/bin/env python3
"""What a hit of our allocator costs beside RMM's pool and PyTorch's allocator, on one trace.

usage: allocators.py [--bytes N] [--turns N] [--no-torch]

Runs the three programs in turns, so that none has the machine at another time than the others, over
what tools/device/pack laid out. Prints the median of the medians and what ours is of the peers'.
Exit code 1 where a program failed; how the figures compare is for the reader to judge.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "gpu" / "bin"
LINE = re.compile(r"(.+): ([0-9.]+) ns \(([0-9.]+) to ([0-9.]+)\) for free and allocate")
OURS = "spillway bench memory"
# Part of a name: what ours may be of it at most.
TARGETS = {"RMM": 0.5, "torch": 1.0}


def output_of(command):
    """What it prints to stdout; None where it failed, whose output is then shown."""
    libraries = f"{ROOT}/build/gpu/lib:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    # What is compiled for torch goes with torch's libraries; ours are for our programs.
    env = {**os.environ, "LD_LIBRARY_PATH": libraries} if command[0] != sys.executable else None
    try:
        done = subprocess.run(command, env=env, text=True, timeout=300, capture_output=True)
    except (subprocess.TimeoutExpired, OSError) as error:
        print(f"FAILED: {error}")
        return None
    if done.returncode == 0:
        return done.stdout
    print(f"FAILED ({done.returncode}): {' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")
    return None


def ours(total):
    command = [str(BIN / "spillway"), "bench", "memory", "--only", "allocator", "--bytes",
               str(total), "--rounds", "5", "--json"]
    out = output_of(command)
    if out is None:
        return None
    figure, = json.loads(out)
    print(f"{OURS}: {figure['value']:.1f} ns ({figure['note']})", flush=True)
    return {OURS: figure["value"]}


def peer(command):
    """{name: ns} of the lines that a peer prints; None where it printed none."""
    out = output_of(command)
    if out is None:
        return None
    lines = list(filter(None, map(LINE.fullmatch, out.splitlines())))
    for line in lines:
        print(line[0], flush=True)
    return {line[1]: float(line[2]) for line in lines} or None


def report(figures):
    own = statistics.median(figures[OURS])
    print(f"\n{'median':>10} {'least':>10} {'most':>10}  ns for free and allocate")
    for name, values in figures.items():
        share = f"; ours is {own / statistics.median(values):.3f} of it" if name != OURS else ""
        target = next((most for part, most in TARGETS.items() if name.startswith(part)), None)
        share += f", wanted: at most {target}" if target else ""
        print(f"{statistics.median(values):>10.1f} {min(values):>10.1f} {max(values):>10.1f}  "
              f"{name}{share}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=4 << 30, help="of the trace; default 4 GiB")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-torch", action="store_true")
    options = parser.parse_args()
    total = options.bytes
    programs = [lambda: ours(total), lambda: peer([str(BIN / "rmm_pool"), str(total)])]
    if not options.no_torch:
        script = ROOT / "bench" / "peers" / "torch_allocator.py"
        programs.append(lambda: peer([sys.executable, str(script), str(total)]))
    figures, failed = {}, 0
    for _ in range(options.turns):
        for program in programs:
            found = program()
            failed += found is None
            for name, value in (found or {}).items():
                figures.setdefault(name, []).append(value)
    if OURS in figures:
        report(figures)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
