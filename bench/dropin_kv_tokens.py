#!/usr/bin/env python3
"""Where the time of each token goes while the CPU attends: a Llama of random bf16 weights and a
long context of random keys, on a GPU.

usage: dropin_kv_tokens.py [--tokens 60] [--again 20] [--json FILE] [OPTION...]

The first tokens of a process, then again as many as --again after the cache was cropped: as before,
and with the share that was found out given as a number. Of each token it prints milliseconds: in
all; until Python had launched it, and of these on a core; what the row worker attended, waited for
q, for the link, and had no work; what the link copied for KV layers and the GPU waited for it (of
all copies: --every 1); the GB/s of both; misses of the ring; calls of the driver's for memory;
page faults, context switches of the process, and processor time of its other threads.

Needs torch, transformers and a GPU (--stand-in: none, and times that mean nothing);
SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import resource
import statistics
import sys
import time

import torch
from transformers.cache_utils import DynamicCache

import dropin
import dropin_kv
import dropin_setup as setup
from spillway.torch.measures import SAMPLE_EVERY, CopyTimes

FIGURES = ("ms", "launch", "on_core", "attend", "q", "link", "idle", "cpu_GB/s", "copied",
           "stalls", "link_GB/s", "misses", "allocs", "faults", "switches", "others", "host_MiB")


def counters(run):
    """What only grows, by name."""
    tiers = run.where.streamer.kv
    done, ring = tiers.cpu_attention.worker.statistics(), tiers.ring
    ring.times.collect()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    memory = torch.cuda.memory_stats() if run.where.device == "cuda" else {}
    on_core = time.thread_time()
    return {"on_core": on_core, "attend": done.attention_seconds, "q": done.x_seconds,
            "link": done.link_seconds, "idle": done.idle_seconds, "cpu": done.attention_bytes,
            "copied": ring.times.seconds, "stalls": ring.times.stall_seconds,
            "link_bytes": ring.times.bytes, "misses": ring.counts.misses,
            "allocs": memory.get("num_device_alloc", 0) + memory.get("num_device_free", 0),
            "faults": usage.ru_minflt + usage.ru_majflt,
            "switches": usage.ru_nvcsw + usage.ru_nivcsw,
            "others": time.process_time() - on_core}


def one_token(run, model, cache, ids):
    """Figures of it by name, and its logits. What a token leaves to be collected counts with it."""
    before = counters(run)
    started = time.perf_counter()
    logits = model(ids, past_key_values=cache).logits
    launched = time.perf_counter()
    run.where.synchronize()
    ended = time.perf_counter()
    after = counters(run)
    more = {name: after[name] - before[name] for name in before}
    found = {"ms": 1e3 * (ended - started), "launch": 1e3 * (launched - started)}
    found |= {name: 1e3 * more[name] for name in (
        "on_core", "attend", "q", "link", "idle", "copied", "stalls", "others")}
    found |= {name: more[name] for name in ("misses", "allocs", "faults", "switches")}
    found["cpu_GB/s"] = more["cpu"] / max(more["attend"], 1e-9) / 1e9
    found["link_GB/s"] = more["link_bytes"] / max(more["copied"], 1e-9) / 1e9
    found["host_MiB"] = dropin_kv.kv_bytes(cache, True) / setup.MIB
    return {name: found[name] for name in FIGURES}, logits


@torch.no_grad()
def decode(run, title, model, cache, logits, tokens):
    """The likeliest tokens, printed one a line."""
    print(f"{title}\n token " + " ".join(f"{name:>9}" for name in FIGURES), flush=True)
    rows = []
    for token in range(tokens):
        found, logits = one_token(run, model, cache, logits.argmax(-1))
        rows.append(found)
        print(f"{token + 1:6} " + " ".join(f"{value:9.1f}" for value in found.values()), flush=True)
    run.say(title.replace(" ", "_"), "in the middle "
            f"{statistics.median(row['ms'] for row in rows):.1f} ms a token", rows)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--again", type=int, default=20, help="tokens")
    parser.add_argument("--every", type=int, default=SAMPLE_EVERY, help="copies: one is timed")
    own, words = parser.parse_known_args()
    options = dropin_kv.options_of(["--noise", "--tokens", "60", "--cpu-attention", "auto", *words])
    run = dropin.Run(options)
    model = dropin_kv.start(run, options.hbm_budget)
    run.sampler.stop()
    ids = setup.prompt(options, tokens=options.context).to(run.where.device)
    cache = DynamicCache(config=model.config)
    logits = dropin_kv.fill(model, cache, ids, options)
    run.where.synchronize()
    tiers = run.where.streamer.kv
    if tiers.ring is None:
        sys.exit("dropin_kv_tokens: all of the cache lies in HBM; give a smaller --hbm-budget")
    tiers.ring.times = CopyTimes(tiers.device, own.every)
    decode(run, "the first tokens", model, cache, logits, options.tokens)
    again = min(own.again, options.tokens)
    attention, group = tiers.cpu_attention, cache.layers[0].group
    run.say("share", f"{attention.share or group.cpu_share[1]:.3f}",
            attention.share or group.cpu_share[1])
    cache.crop(-options.tokens)
    decode(run, "again", model, cache, logits, again)
    attention.share = attention.share or group.cpu_share[1]
    cache.crop(-again)
    decode(run, "with that share given", model, cache, logits, again)
    print(run.where.report())
    run.finish()


if __name__ == "__main__":
    main()
