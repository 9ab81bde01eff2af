#!/usr/bin/env python3
"""Runs the acceptance checks a to h of the first milestone, prints a table and writes JSON.

usage: acceptance.py [--only a,b,g] [--out build/acceptance.json] [--fresh-clone]

The program is $SPILLWAY_BIN, else the release build. Needs numpy, gguf and llama-cpp-python for d.
Each check yields rows (check, figure, bound, holds). Exit code 1 where one does not hold.
"""
import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "golden"), str(ROOT / "tests" / "e2e"), str(ROOT / "bench")]

import files
from disk_rate import Rates
from gguf_layout import read_layout
from spillway_runner import MIB, Process, Spillway, find_program

QUESTION = "Which is the tallest mountain in the world?"
PROMPT = "The Alps, the Andes and the Himalayas are mountain ranges. The highest of them"
PROMPTS = [QUESTION, "Write one sentence about the sea.", "What is 12 plus 30?",
           "Name three animals that can fly.", "Why is the sky blue?"]
BUDGETS = [48, 64, 96, 1024]  # MiB
POSITIONS = 64
PERPLEXITY = 28.727  # llama.cpp's: tests/golden/perplexity.md
ROUNDS = 5


@dataclasses.dataclass
class Row:
    check: str
    what: str
    figure: object
    bound: str
    holds: bool


def at_most(check, what, figure, bound):
    return Row(check, what, figure, f"<= {bound:g}", figure <= bound)


def at_least(check, what, figure, bound):
    return Row(check, what, figure, f">= {bound:g}", figure >= bound)


def is_true(check, what, figure):
    return Row(check, what, figure, "True", bool(figure))


def check_a(spillway, options):
    run = spillway.generate(files.MODEL, QUESTION, "--host-budget", "64MiB")
    yield is_true("a", "the answer contains Everest", "Everest" in run.text)
    yield at_most("a", "peak host, MiB", run.stats["peak_host_bytes"] / MIB, 64)
    if options.fresh_clone:
        yield from fresh_clone()


def fresh_clone():
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "spillway"
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        first = make_answer(clone).wait(3600)
        yield is_true("a", "make answer in a fresh clone contains Everest",
                      first.code == 0 and "Everest" in first.text)
        line = next((text for text in first.text.splitlines() if "Everest" in text), "Everest")
        second = make_answer(clone)
        second.wait_until(lambda process: line[:8].encode() in process.read_out())
        yield at_most("a", "second make answer: s to the answer's first 8 bytes",
                      time.monotonic() - second.begin, 3)
        yield is_true("a", "second make answer contains Everest", "Everest" in second.wait().text)


def make_answer(clone):
    return Process(["make", "answer"], clone, dict(os.environ))


def check_b(spillway, options):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "hard_limit.json"
        run = subprocess.run([sys.executable, ROOT / "tests/e2e/hard_limit", "--json", out],
                             capture_output=True, text=True)
        if run.returncode == 77:
            yield is_true("b", run.stdout.strip(), False)
            return
        ours, mmap = (json.loads(out.read_text())[who] for who in ("spillway", "mmap reader"))
    for name, good in ours["checks"].items():
        yield is_true("b", name, good)
    yield at_most("b", "resident set, MiB", ours["peak_rss"] / MIB, ours["most_rss"] / MIB)
    yield at_least("b", "read from disk, MiB", ours["disk_read"] / MIB,
                   ours["least_disk_read"] / MIB)
    yield at_least("b", "mmap reader at the limit, times", mmap["times_at_limit"], 1)


def check_c(spillway, options):
    import compare
    import numpy as np
    base = None
    for budget in BUDGETS:
        for threads in (1, 2):
            run = spillway.generate(files.MODEL, PROMPT, "--raw", "-n", 32, "--host-budget",
                                    f"{budget}MiB", "--threads", threads, logits=True)
            base = base or run
            same = (run.stats["token_ids"] == base.stats["token_ids"]
                    and np.array_equal(run.logits.view(np.uint32), base.logits.view(np.uint32)))
            yield is_true("c", f"same tokens and bits: {budget} MiB, {threads} threads", same)
    for chunk in (1, 7):
        for model, name, extra, bound in (
                (files.MODEL, "8-bit activations", [], 1e-2),
                (files.model_f32(), "F32", ["--kv", "f32", "--host-budget", "1GiB"], 1e-5)):
            runs = [spillway.generate(model, PROMPT, "--raw", "-n", 1, "--prompt-chunk", length,
                                      *extra, logits=True) for length in (512, chunk)]
            difference = compare.relative_l2(runs[1].logits, runs[0].logits).max()
            yield at_most("c", f"chunk {chunk} against 512, {name}", float(difference), bound)
    texts = [{spillway.generate(files.MODEL, prompt, "-n", 32, "--prompt-chunk", chunk).text
              for chunk in (1, 7, 512)} for prompt in PROMPTS]
    yield is_true("c", "same text of 5 prompts with chunks 1, 7, 512",
                  all(len(found) == 1 for found in texts))


def check_d(spillway, options):
    import compare
    import llama_cpp_peer
    from reference import Reference

    def dump(model, *arguments):
        run = spillway.generate(model, files.passage(), "--raw", "-n", 1, *arguments, logits=True)
        return run.logits[:POSITIONS], run.stats["prompt_token_ids"][:POSITIONS]

    logits, tokens = dump(files.MODEL)
    reference = Reference(files.MODEL).logits(tokens)
    for kv, bound in (("f32", 1e-4), ("f16", 2e-3)):
        floats, _ = dump(files.model_f32(), "--kv", kv, "--host-budget", "1GiB")
        found = compare.distance(floats, reference)
        yield at_most("d", f"F32, {kv} KV: relative L2, most", found.max_l2, bound)
    ours = compare.distance(logits, reference)
    peer = compare.distance(llama_cpp_peer.logits(files.MODEL, tokens), reference)
    yield at_most("d", "8-bit activations: relative L2, mean", ours.mean_l2, 4e-2)
    yield at_most("d", "8-bit activations: KL, mean", ours.mean_kl, 5e-3)
    yield at_most("d", "relative L2 against 1.1 x llama.cpp's", ours.mean_l2, 1.1 * peer.mean_l2)
    yield at_most("d", "KL against 1.1 x llama.cpp's", ours.mean_kl, 1.1 * peer.mean_kl)


def check_e(spillway, options):
    run = spillway.run("perplexity", files.MODEL, files.wiki(), "--context", 512, "--chunks", 20,
                       "--json", seconds=1200)
    assert run.code == 0, run
    found = json.loads(run.out)["perplexity"]
    yield at_most("e", f"perplexity {found:.4f}, relative distance from {PERPLEXITY}",
                  abs(found / PERPLEXITY - 1), 5e-3)


def check_f(spillway, options):
    stories = files.stories()
    half = f"{read_layout(stories).weights // 2}B"
    for name, extra in (("all weights", []), ("half of the weights", ["--weights-budget", half])):
        run = spillway.generate(stories, "", "--raw", "-n", 200, "--kv", "f32", *extra)
        yield is_true("f", f"the published 464 bytes, {name} in memory",
                      run.out.removesuffix(b"\n") == files.STORY.read_bytes())


def bench_decode(spillway, *arguments):
    return spillway.json("bench", "decode", files.MODEL, "-n", 64, *arguments)


def check_g(spillway, options):
    half = f"{read_layout(files.MODEL).weights // 2}B"
    rates, found = Rates(files.MODEL), []
    for _ in range(ROUNDS):
        rates.add_round()
        found.append(bench_decode(spillway, "--host-budget", "1GiB", "--weights-budget", half))
    best, block, depth = rates.best_direct()
    spread = " ".join(f"{run['share_of_bound']:.2f}" for run in found)
    yield at_least("g", f"share of the disk bound, median of {spread}",
                   statistics.median(run["share_of_bound"] for run in found), 0.75)
    speed = statistics.median(run["tokens_per_second"] for run in found)
    streamed = statistics.median(run["bytes_by_tier"]["disk"] for run in found) / 64
    outside = best / streamed
    yield at_least("g", f"share of a bound measured from outside ({best / 1e9:.2f} GB/s direct, "
                   f"{block >> 10} KiB x {depth}; {rates.median_buffered() / 1e9:.2f} buffered)",
                   speed / outside, 0.75)


def check_h(spillway, options):
    for budget in BUDGETS:
        run = bench_decode(spillway, "--host-budget", f"{budget}MiB")
        measured, predicted = run["tokens_per_second"], run["predicted_tokens_per_second"]
        yield at_most("h", f"{budget} MiB: predicted {predicted:.1f}, measured {measured:.1f} "
                      "tokens/s, distance", abs(predicted / measured - 1), 0.2)


CHECKS = {"a": check_a, "b": check_b, "c": check_c, "d": check_d, "e": check_e, "f": check_f,
          "g": check_g, "h": check_h}


def run_checks(spillway, options):
    for name in options.only.split(",") if options.only else CHECKS:
        try:
            for row in CHECKS[name](spillway, options):
                show(row)
                yield row
        except Exception as error:  # one check that breaks must not hide the others
            row = Row(name, f"broke: {error}", None, "", False)
            show(row)
            yield row


def show(row):
    figure = f"{row.figure:.4g}" if isinstance(row.figure, float) else str(row.figure)
    print(f"| {row.check} | {row.what} | {figure} | {row.bound} | "
          f"{'pass' if row.holds else 'FAIL'} |", flush=True)


def describe():
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                            capture_output=True, text=True).stdout.strip()
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                      if line.startswith("model name")), platform.machine())
    return {"commit": commit, "processor": processor, "kernel": platform.release()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="checks, separated by commas")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "acceptance.json")
    parser.add_argument("--fresh-clone", action="store_true", help="a: make answer in a clone")
    options = parser.parse_args()
    program = find_program()
    if program is None or files.model() is None:
        sys.exit("acceptance: needs a build of spillway and the model of tools/model")
    print(f"{program}, {describe()}\n\n| check | what | figure | bound | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = list(run_checks(Spillway(program, folder), options))
    result = {**describe(), "passed": all(row.holds for row in rows),
              "rows": [dataclasses.asdict(row) for row in rows]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1))
    failed = sum(not row.holds for row in rows)
    print(f"\n{len(rows) - failed} of {len(rows)} rows hold; {options.out}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
