#!/usr/bin/env python3
"""The PyTorch drop-in without a GPU: an unmodified pipeline within a host budget, against the disk.

usage: dropin_disk.py FOLDER [--host-budget 85MiB] [--tokens 33] [--rounds 5] [--json]
                      [--limit BYTES]

FOLDER: a Hugging Face folder (python -m spillway.convert makes one). Prints milliseconds a token
against the disk bound: bytes streamed a token over the disk's rate S, the best median of sweeps
over the file with nothing computed (bench/disk_rate.py), one a round for each block size and depth
that the ring has room for. `own reader` is the rate of the ring's reader over the same ranges.
--limit runs it all in a memory group with a hard limit (root) of so many bytes over an idle process
with torch and transformers' pipeline. Exit code 1 where the median is below 0.75 of the bound, or
the limit was met.
"""
import argparse
import json
import mmap
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "plugins" / "python"), str(ROOT / "bench"),
                str(ROOT / "tests" / "e2e")]
import spillway.torch  # noqa: E402

SETTINGS = ((256, 4), (512, 4), (512, 8), (1024, 4), (1024, 8), (4096, 2))  # KiB of a block, depth
QUESTION = [{"role": "user", "content": "Which is the tallest mountain in the world?"}]


def streamed(model):
    """The weights of the model that stream, in the order of its layers, each once."""
    found = {id(p): p.spillway_weight for p in model.parameters() if hasattr(p, "spillway_weight")}
    return list(found.values())


def sweep(streamer, weights):
    """Bytes a second of the ring's reader over the weights, a ring's slots under way."""
    import torch
    device = streamer.device
    # A mapping, which goes back to the system; malloc would keep it, and the process its peak.
    memory = torch.frombuffer(mmap.mmap(-1, streamer.ring.size_bytes), dtype=torch.uint8)
    memory.fill_(1)  # the first touch is not the disk's
    slots = memory.view(streamer.ring.slots, -1)  # each begins at a page
    marks = [device.new_mark() for _ in slots]
    before, started = device.reader.bytes, time.perf_counter()
    for at, weight in enumerate(weights):
        slot = at % len(slots)
        device.wait(marks[slot])
        target = slots[slot][device.slot_lead(weight.home):][:weight.size_bytes]
        device.copy(target, weight.home, [], marks[slot])
    device.synchronize()
    return (device.reader.bytes - before) / (time.perf_counter() - started)


def seconds(model, tokens):
    import torch
    ids = torch.arange(1, 9)[None]
    started = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
                   min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return time.perf_counter() - started


def measure(options):
    spillway.torch.enable(host_budget=options.host_budget)
    import disk_rate
    from transformers import pipeline
    pipe = pipeline("text-generation", model=options.folder, device="cuda", dtype="bfloat16")
    answer = pipe(QUESTION, max_new_tokens=24, do_sample=False)[0]["generated_text"][-1]["content"]
    streamer = spillway.torch._active.streamer
    weights = streamed(pipe.model)
    if not weights:
        sys.exit(f"dropin_disk: nothing streams within {options.host_budget}; name a smaller one")
    reader = streamer.device.reader
    file = next(iter(Path(options.folder).glob("*.safetensors")))
    seconds(pipe.model, 3)
    rounds, outside = [], {setting: [] for setting in SETTINGS}
    for _ in range(options.rounds):
        rates = [sweep(streamer, weights)]
        for (block, depth), found in outside.items():
            found.append(disk_rate.sweep(file, block << 10, depth, direct=True))
        first = seconds(pipe.model, 1)
        read, waited = reader.bytes, reader.wait_seconds
        took = seconds(pipe.model, options.tokens)
        token = (took - first) / (options.tokens - 1)
        a_token = (reader.bytes - read) / options.tokens
        rates.append(sweep(streamer, weights))
        rounds.append({"token_seconds": token, "bytes_a_token": a_token,
                       "own_reader": statistics.mean(rates),
                       "wait_seconds_a_token": (reader.wait_seconds - waited) / options.tokens})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    rate = max(statistics.median(found) for found in outside.values())
    bound = medians["bytes_a_token"] / rate
    return {"answer": answer, "report": str(spillway.torch.report(pipe.model)),
            "peak_resident_bytes": peak, "rounds": rounds, **medians, "rate": rate,
            "bound_seconds": bound, "share_of_bound": bound / medians["token_seconds"]}


IDLE = """
import torch
from transformers import pipeline, LlamaForCausalLM
a = torch.ones(1024, 1024, dtype=torch.bfloat16)
(a @ a).sum().item()
"""


def under_limit(left, words):
    """The same again in a group. Returns its exit code, or 1 where the limit was met."""
    import cgroup
    # The first brings files of torch's and others' into the page cache, and is charged for it.
    once = [__file__, *words, "--rounds", "1", "--tokens", "2"]
    for program in (once, ["-c", IDLE]):
        with cgroup.group(4 << 30) as group:
            done = subprocess.run([*group.prefix(), sys.executable, *program],
                                  stdout=subprocess.DEVNULL)
            idle = group.peak()
        if done.returncode and program is not once:  # which may be slower than its bound
            return done.returncode
    with cgroup.group(idle + left) as group:
        done = subprocess.run([*group.prefix(), sys.executable, __file__, *words])
        met = group.times_at_limit()
        print(f"idle {idle / 1e6:.0f} MB, limit {(idle + left) / 1e6:.0f} MB, peak "
              f"{group.peak() / 1e6:.0f} MB, limit met {met} times", file=sys.stderr)
        return done.returncode or met > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--host-budget", default="85MiB")
    parser.add_argument("--tokens", type=int, default=33)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", type=int, help="bytes")
    options = parser.parse_args()
    if options.limit:
        at = sys.argv.index("--limit")
        sys.exit(under_limit(options.limit, sys.argv[1:at] + sys.argv[at + 2:]))
    result = measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        tokens = [one["token_seconds"] * 1e3 for one in result["rounds"]]
        print(result["answer"])
        print(f"{result['token_seconds'] * 1e3:.1f} ms a token ({min(tokens):.1f} to "
              f"{max(tokens):.1f}), {result['bytes_a_token'] / 1e6:.0f} MB each; disk "
              f"{result['rate'] / 1e9:.2f} GB/s, bound {result['bound_seconds'] * 1e3:.1f} ms: "
              f"{result['share_of_bound']:.2f} of it")
        print(f"own reader {result['own_reader'] / 1e9:.2f} GB/s; waiting for the disk "
              f"{result['wait_seconds_a_token'] * 1e3:.1f} ms a token")
        print(f"resident at most {result['peak_resident_bytes'] >> 20} MiB\n"
              f"{result['report']}")
    sys.exit(0 if result["share_of_bound"] >= 0.75 else 1)


if __name__ == "__main__":
    main()
