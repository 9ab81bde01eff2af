#!/usr/bin/env python3
"""A KV cache beyond the HBM budget: a Llama of random bf16 weights and a long context, on a GPU.

usage: dropin_kv.py [decode | restore] [--json FILE] [OPTION...]

decode   a context filled by prefill in chunks, most of its KV cache in the host: milliseconds a
         token against max(HBM bytes / HBM rate, KV bytes in the host / link), rates of the same
         run; with --cpu-attention, where it is link and CPU, and with --shares so by each of these;
         the tokens and logits against a run with all of the cache in HBM, which is given the same
         tokens; after that, with --peer, cache_implementation="offloaded" of transformers, given
         the same cache
restore  a cache that comes back from the host, and from a file in --folder that is in the page
         cache and that is not, against computing it again

Both print the most of HBM in use, as the driver says, and of host memory, and end with 1 where
answers differ or a budget is broken. Needs torch, transformers and a GPU (--stand-in: none, and
times that mean nothing); SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers.cache_utils import DynamicCache

import dropin
import dropin_cpu
import dropin_setup as setup
from dropin_setup import GIB
from spillway.torch import load_cache, save_cache
from spillway.torch.sizes import parse_size

SHAPE = {"layers": 32, "hidden": 4096, "ffn": 14336, "vocabulary": 128256}  # Llama 3 8B
PEER_TOKENS = 3
MOST_ERROR = 2e-2  # of logits, where the CPU attends: of any two orders of adding bf16 up


def hbm_rate(where, size):
    """Bytes a second that are read and written when HBM is copied in itself."""
    source = torch.empty(size // 2, dtype=torch.uint8, device=where.device)
    target = torch.empty_like(source)
    rates = []
    for _ in range(4):
        where.synchronize()
        started = time.perf_counter()
        for _ in range(8):
            target.copy_(source)
        where.synchronize()
        rates.append(8 * size / (time.perf_counter() - started))
    return statistics.median(rates[1:])


@torch.no_grad()
def fill(model, cache, ids, options):
    """The prompt's last logits. --noise: keys and values of all but the last chunk are random,
    which takes seconds and no room for masks."""
    parts = ids.split(options.chunk, 1)
    generator = torch.Generator(ids.device).manual_seed(1)
    config = model.config
    for part in parts[:-1] if options.noise else ():
        for layer in range(config.num_hidden_layers):
            states = [torch.randn(1, config.num_key_value_heads, part.shape[1], config.head_dim,
                                  generator=generator, device=ids.device, dtype=model.dtype)
                      for _ in ("keys", "values")]
            cache.update(*states, layer)
    for part in parts[-1:] if options.noise else parts:
        logits = model(part, past_key_values=cache, logits_to_keep=1).logits
    return logits


@torch.no_grad()
def decode(where, model, cache, logits, tokens, given=None):
    """(seconds of each token, logits of all). Tokens are the likeliest, or those of `given`
    logits."""
    seconds, found = [], [logits]
    given = [one.to(where.device) for one in given or ()] or found
    for token in range(tokens):
        where.synchronize()
        started = time.perf_counter()
        found.append(model(given[token].argmax(-1), past_key_values=cache).logits)
        where.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds, [one.cpu() for one in found]


def kv_bytes(cache, in_host=None):
    return sum(part.length * part.token_bytes for layer in cache.layers for part in layer.parts()
               if in_host in (None, layer.in_host))


def start(run, budget):
    """A model within that budget."""
    run.options.hbm_budget = budget
    run.enable()
    with torch.no_grad():
        return setup.build(run.options).to(run.where.device)


def stop(run):
    run.where.disable()
    gc.collect()
    run.where.empty_cache()


def run_decode(run):
    options, where = run.options, run.where
    ids = setup.prompt(options, tokens=options.context).to(where.device)
    hbm = hbm_rate(where, options.link_bytes)
    run.say("hbm", f"{hbm / 1e9:.0f} GB/s", hbm)
    where.empty_cache()
    small, large = options.hbm_budget, options.large_budget
    model = start(run, small)
    cache = DynamicCache(config=model.config)
    started = time.perf_counter()
    logits = fill(model, cache, ids, options)
    where.synchronize()
    run.say("prefill_s", f"{time.perf_counter() - started:.1f} for {options.context:,} tokens",
            time.perf_counter() - started)
    seconds, found = decode(where, model, cache, logits, options.tokens)
    token, first = statistics.median(seconds[2:]), found[1:PEER_TOKENS + 2]
    total, host = kv_bytes(cache), kv_bytes(cache, True)
    run.say("kv_bytes", f"{total / GIB:.2f} GiB, {host / GIB:.2f} of them in the host",
            [total, host])
    bounds = (setup.bytes_of(model) + total) / hbm, host / host_rate(run)
    run.say("decode_ms", f"{token * 1e3:.1f} a token ({min(seconds[2:]) * 1e3:.1f} to "
            f"{max(seconds) * 1e3:.1f})", [one * 1e3 for one in seconds])
    run.say("of_bound", f"{token / max(bounds):.3f}; HBM takes {bounds[0] * 1e3:.1f} ms, the "
            f"host's part {bounds[1] * 1e3:.1f}", token / max(bounds))
    print(where.report())
    run.check_memory()  # before there is a peer in the process
    for share in options.shares:
        where.streamer.kv.cpu_attention.share = share
        cache.crop(-options.tokens)
        seconds, _ = decode(where, model, cache, logits, options.tokens)
        run.say(f"share_{share}", f"{statistics.median(seconds[2:]) * 1e3:.1f} ms a token",
                [one * 1e3 for one in seconds])
    cache.crop(-options.tokens)
    peer = offloaded(model, cache) if options.peer else None
    del cache
    if peer:
        theirs, answers = decode(where, model, peer, logits, PEER_TOKENS)
        run.say("offloaded_ms", f"{theirs[-1] * 1e3:.1f} a token: {theirs[-1] / token:.2f} times "
                f"as long", [one * 1e3 for one in theirs])
        run.say("times_faster", f"{theirs[-1] / token:.2f}", theirs[-1] / token)
        same = [one.argmax(-1).tolist() for one in answers[1:]] == [
            one.argmax(-1).tolist() for one in first[:PEER_TOKENS]]
        run.say("offloaded_tokens_equal", str(same), same)
    del peer, model
    stop(run)
    attends, options.cpu_attention = options.cpu_attention != "off", "off"
    model = start(run, large)
    cache = DynamicCache(config=model.config)
    logits = fill(model, cache, ids, options)
    _, wanted = decode(where, model, cache, logits, options.tokens, found)
    run.check("reference_is_all_in_hbm", kv_bytes(cache, True) == 0)
    compare(run, found, wanted, attends)
    del cache, model
    run.check_memory()
    stop(run)


def host_rate(run):
    """Bytes a second at which what lies in the host can be read."""
    attention = getattr(run.where.streamer.kv, "cpu_attention", None)
    if attention is None:
        return run.link
    rates = attention.rates
    run.say("rates", f"link alone {rates.link_alone / 1e9:.1f} GB/s; side by side link "
            f"{rates.link / 1e9:.1f}, CPU {rates.cpu[1] / 1e9:.1f}",
            [rates.link_alone, rates.link, rates.cpu[1]])
    return rates.link + rates.cpu[1]


def compare(run, found, wanted, attends):
    """Bit for bit, or where the CPU attends but for rounding."""
    same = [torch.equal(one.argmax(-1), other.argmax(-1)) for one, other in zip(found, wanted)]
    run.check("tokens_equal", all(same))
    if not attends:
        run.check("logits_equal", setup.equal(found, wanted))
        return
    run.check("logits_of_the_prompt_equal", torch.equal(found[0], wanted[0]))
    errors = [dropin_cpu.relative_error(one, other) for one, other in zip(found[1:], wanted[1:])]
    run.say("relative_error", f"{max(errors):.2e} at most, {statistics.median(errors):.2e} in the "
            f"middle, in the logits of a token; {sum(same)} of {len(same)} tokens equal", errors)
    run.check("relative_error_is_small", max(errors) <= MOST_ERROR)


def offloaded(model, cache):
    """The same cache as transformers offloads it: all layers in host memory but the one in use."""
    theirs = DynamicCache(config=model.config, offloading=True)
    for ours, layer in zip(cache.layers, theirs.layers):
        keys, values = ours.keys, ours.values
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = (part.to("cpu", copy=True) for part in (keys, values))
    theirs.layers[0].prefetch()
    return theirs


def run_restore(run):
    options, where = run.options, run.where
    ids = setup.prompt(options, tokens=options.context).to(where.device)
    model = start(run, options.large_budget)
    fill(model, DynamicCache(config=model.config), ids[:, :2 * options.chunk], options)
    cache = DynamicCache(config=model.config)
    where.synchronize()
    started = time.perf_counter()
    logits = fill(model, cache, ids, options)
    where.synchronize()
    again, size = time.perf_counter() - started, kv_bytes(cache)
    run.say("compute_s", f"{again:.2f} for {options.context:,} tokens, {size / GIB:.2f} GiB", again)
    _, wanted = decode(where, model, cache, logits, 1)
    cache.crop(-1)

    def restored(key, seconds, rate):
        run.say(key, f"{seconds * 1e3:.1f} ms, {size / seconds / 1e9:.2f} GB/s, "
                f"{size / seconds / rate:.3f} of {rate / 1e9:.1f}; computing it takes "
                f"{again / seconds:.1f} times as long", [seconds, again / seconds])

    took = []
    for _ in range(4):
        for layer in cache.layers:
            layer.offload()
        where.synchronize()
        started = time.perf_counter()
        for layer in cache.layers:
            layer.prefetch()
        where.synchronize()
        took.append(time.perf_counter() - started)
    run.check("all_came_back", kv_bytes(cache, True) == 0)
    restored("from_host", statistics.median(took[1:]), run.link)
    run.check("logits_equal_after", setup.equal(decode(where, model, cache, logits, 1)[1], wanted))
    cache.crop(-1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder) / "session"
        started = time.perf_counter()
        save_cache(cache, file, model)
        seconds = time.perf_counter() - started
        run.say("saved_s", f"{seconds:.2f}, {size / seconds / 1e9:.2f} GB/s", seconds)
        del cache
        for key in ("from_page_cache", "from_disk"):
            if key == "from_disk":
                with open(file, "rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            started = time.perf_counter()
            cache = load_cache(file, model)
            where.synchronize()
            restored(key, time.perf_counter() - started, run.link)
            run.check(f"logits_equal_{key}", setup.equal(
                decode(where, model, cache, logits, 1)[1], wanted))
            del cache
    del model
    run.check_memory()
    stop(run)


def options_of(words):
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("mode", nargs="?", choices=("decode", "restore"), default="decode")
    for name, value in SHAPE.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--context", type=int, help="tokens: 131072, 32768 to restore")
    parser.add_argument("--chunk", type=int, default=1024, help="tokens of prefill at once")
    parser.add_argument("--tokens", type=int, default=12)
    sizes = {"hbm-budget": "24GiB", "large-budget": "60GiB", "host-budget": "40GiB",
             "work": "4GiB", "link-bytes": "1GiB"}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=parse_size, default=parse_size(value), metavar="SIZE")
    parser.add_argument("--noise", action="store_true", help="decode: no prefill, random keys")
    parser.add_argument("--peer", action="store_true", help="decode: transformers' offloaded, too")
    parser.add_argument("--cpu-attention", default="off", help="decode: auto, off, or a share")
    parser.add_argument("--cpu-threads", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=[],
                        help="decode, with --cpu-attention: of the tokens in the host")
    parser.add_argument("--folder", type=Path, help="restore: of the file; else a temporary one")
    parser.add_argument("--stand-in", action="store_true", help="no GPU; times mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    options.prompt = 1
    vars(options).update(dropin.USUAL | vars(options))
    if options.context is None:
        options.context = 131072 if options.mode == "decode" else 32768
    return options


def main():
    options = options_of(sys.argv[1:])
    run = dropin.Run(options)
    {"decode": run_decode, "restore": run_restore}[options.mode](run)
    run.finish()


if __name__ == "__main__":
    main()
