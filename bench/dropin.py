#!/usr/bin/env python3
"""The PyTorch drop-in on a GPU: an unmodified Llama of random bf16 weights beyond its HBM budget.

usage: dropin.py [decode | prefill | logits | large] [--json FILE] [OPTION...]

decode   milliseconds a token against the link bound: (bytes of weights - (budget - 1 GiB)) over the
         link's rate of the same run; with --peer in turns with Accelerate with as much HBM; with
         --cpu-rows the CPU takes part, and with --shares so by each of these; --packing off
         in-place staged: one after the other, the last one in turns with the peer
prefill  of 128 and 4,096 tokens against the larger of the resident model's and the link's time
logits   of a smaller model for 5 budgets, 2 kinds of attention and 2 batches, against the resident
         model's, bit for bit
large    decode of a Llama-3-70B shape that is built by from_config() within the budgets

Each prints figures, and the most of HBM in use as the driver says. It ends with 1 where answers
differ or a budget is broken. Needs torch, transformers and a GPU (--stand-in: none, and times that
mean nothing); SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import transformers

import dropin_cpu
import dropin_packing
import dropin_peer
import dropin_setup as setup
from dropin_setup import GIB, answers, equal
from spillway.torch import WORK_BYTES
from spillway.torch.sizes import parse_size

SHAPES = {  # layers, hidden, ffn, vocabulary
    "decode": (40, 5120, 13824, 32000), "prefill": (40, 5120, 13824, 32000),
    "logits": (8, 5120, 13824, 32000), "large": (80, 8192, 28672, 128256)}
BUDGETS = {"decode": "13GiB", "prefill": "13GiB", "large": "76GiB"}
USUAL = {  # of what Run.enable() reads
    "cpu_rows": "off", "cpu_attention": "off", "cpu_threads": 0, "packing": ["on"]}
HOST_SLACK = 2 * GIB  # of a process beside its weights
LOGITS_SHARES = (0.2, 0.35, 0.5, 0.7, 0.9)  # of the weights that HBM has room for


class Run:
    """One mode's: where it runs, what it found, whether all was right."""

    def __init__(self, options):
        self.options = options
        self.where = setup.StandIn() if options.stand_in else setup.Gpu()
        self.result = {"mode": options.mode, "device": self.where.name(),
                       "torch": torch.__version__, "transformers": transformers.__version__}
        self.ok = True
        self.idle = self.where.idle_bytes()
        self.link = setup.link_rate(self.where, options.link_bytes)
        self.where.empty_cache()
        self.after_round = lambda model, ids: None  # of decode
        self.host_before = setup.resident_set_bytes()
        self.say("link", f"{self.link / 1e9:.1f} GB/s", self.link)

    def say(self, key, text, value):
        print(f"{key.replace('_', ' ')}: {text}", flush=True)
        self.result[key] = value

    def finish(self):
        """Writes down what was found, says whether all was right, and ends the program so."""
        if self.options.json:
            found = {**self.result, "ok": self.ok}
            self.options.json.write_text(json.dumps(found, indent=1) + "\n")
        print("all right" if self.ok else "NOT all right: see the lines with NO")
        sys.exit(0 if self.ok else 1)

    def check(self, key, right):
        self.say(key, "yes" if right else "NO", bool(right))
        self.ok = self.ok and bool(right)

    def enable(self):
        options = self.options
        self.where.enable(options.hbm_budget, options.host_budget, options.work,
                          cpu_rows=options.cpu_rows, cpu_attention=options.cpu_attention,
                          cpu_threads=options.cpu_threads, packing=options.packing[0])
        self.sampler = setup.Sampler(self.where)

    def check_memory(self):
        """What was sampled since enable()."""
        self.sampler.stop()
        budget, sampler, host = self.options.hbm_budget, self.sampler, self.options.host_budget
        self.say("hbm_most", f"{sampler.hbm / GIB:.2f} GiB; budget {budget / GIB:.2f} and "
                             f"{self.idle / GIB:.2f} of an idle process", sampler.hbm)
        self.check("hbm_budget_holds", sampler.hbm <= budget + self.idle)
        more = sampler.host - self.host_before
        self.say("host_most", f"{more / GIB:.2f} GiB more than before the model", more)
        if host is not None:
            self.check("host_budget_holds", more <= host + HOST_SLACK)


def decode_ways(run, model, ids):
    """By each way of packing; the median of the last one, in seconds a token."""
    ways = run.options.packing
    for number, way in enumerate(ways):
        after = "" if number == len(ways) - 1 else f"_packing_{way}"
        if number > 0:
            run.where.pack(way)
        dropin_packing.say_packed(run, model, ids, after)
        median = decode_rounds(run, model, ids, after)
    return median


def decode_rounds(run, model, ids, after=""):
    """Median of rounds, in seconds a token; `after` the names of what is said."""
    where, options = run.where, run.options
    setup.generate_seconds(where.synchronize, model, ids, 3)
    token, first = [], []
    for _ in range(options.rounds):
        one, prompt = setup.decode_seconds(where.synchronize, model, ids, options.tokens)
        token.append(one)
        first.append(prompt)
        run.after_round(model, ids)
    median = statistics.median(token)
    bound = max(1, setup.bytes_of(model) - (options.hbm_budget - GIB)) / run.link
    streamed = setup.streamed_bytes(model)
    run.say(f"decode_ms{after}", f"{median * 1e3:.1f} a token ({min(token) * 1e3:.1f} to "
                         f"{max(token) * 1e3:.1f})", [value * 1e3 for value in token])
    run.say(f"of_link_bound{after}", f"{median / bound:.3f}; the bound is {bound * 1e3:.1f} ms",
            median / bound)
    link = max(streamed / run.link, 1e-9)
    run.say(f"streamed_bytes{after}", f"{streamed / 1e9:.2f} GB a token, {link * 1e3:.1f} ms at "
            f"the link's rate: decode takes {median / link:.3f} of that", streamed)
    run.say(f"first_token_ms{after}", f"{statistics.median(first) * 1e3:.1f} with a prompt of "
            f"{ids.shape[1]}", [value * 1e3 for value in first])
    return median


def decode(run):
    options, where = run.options, run.where
    model = setup.build(options)
    ids = setup.prompt(options).to(where.device)
    wanted = None
    if options.check:
        wanted = answers(model.to(where.device), ids)
        model.to("cpu")
        where.empty_cache()
    run.enable()
    started = time.perf_counter()
    model.to(where.device)
    where.synchronize()
    run.say("weights_placed", f"{setup.bytes_of(model) / GIB:.2f} GiB in "
            f"{time.perf_counter() - started:.1f} s", setup.bytes_of(model))
    if wanted:
        if options.cpu_rows == "off":
            run.check("logits_equal_resident", equal(answers(model, ids), wanted))
        else:
            dropin_cpu.check_answers(run, model, ids, wanted)
    if options.cpu_rows != "off":
        run.after_round = rates = dropin_cpu.RatesOfRounds()
    median = decode_ways(run, model, ids)
    if wanted and options.cpu_rows == "off":
        run.check("logits_equal_resident_after", equal(answers(model, ids), wanted))
    if options.cpu_rows != "off":
        needed = max(0, setup.bytes_of(model) - (options.hbm_budget - GIB))
        dropin_cpu.say_bound(run, median, needed, rates.found[-options.rounds:])
        dropin_cpu.say_shares(run, model, ids, options.shares)
    run.check_memory()
    print(where.report())
    if options.peer:
        dropin_peer.against(run, model, ids, median)


def prefill_seconds(run, model, ids):
    """Median of what the whole prompt takes, all layers and the last token's logits."""
    seconds = []
    with torch.no_grad():
        for _ in range(2 + run.options.rounds):
            run.where.synchronize()
            started = time.perf_counter()
            logits = model(ids, use_cache=True, logits_to_keep=1).logits
            run.where.synchronize()
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[2:]), logits.cpu()


def prefill(run):
    options, where = run.options, run.where
    model = setup.build(options).to(where.device)
    prompts = [setup.prompt(options, tokens=n).to(where.device) for n in options.prompts]
    resident = [prefill_seconds(run, model, ids) for ids in prompts]
    model.to("cpu")
    where.empty_cache()
    run.enable()
    model.to(where.device)
    streamed = setup.streamed_bytes(model) / run.link
    dropin_packing.say_packed(run, model, prompts[0])
    for ids, (alone, wanted) in zip(prompts, resident):
        ours, logits = prefill_seconds(run, model, ids)
        bound = max(alone, streamed)
        run.say(f"prefill_{ids.shape[1]}", f"{ours * 1e3:.1f} ms, {ours / bound:.3f} of the bound; "
                f"resident {alone * 1e3:.1f}, link {streamed * 1e3:.1f}", ours / bound)
        run.check(f"logits_{ids.shape[1]}_equal_resident", torch.equal(logits, wanted))
    run.check_memory()


def logits(run):
    options, where = run.options, run.where
    original = setup.build(options)
    cases = [(kind, setup.prompt(options, batch).to(where.device))
             for kind in ("eager", "sdpa") for batch in (1, 4)]

    def answers_of(model):
        found = []
        for kind, ids in cases:
            model.set_attn_implementation(kind)
            found.append(answers(model, ids))
        return found

    model = copy.deepcopy(original).to(where.device)
    wanted = answers_of(model)
    del model
    for share in LOGITS_SHARES:
        where.empty_cache()
        options.hbm_budget = options.work + int(share * setup.bytes_of(original))
        run.enable()
        model = copy.deepcopy(original).to(where.device)
        streamed = setup.streamed_bytes(model)
        for (kind, ids), got, want in zip(cases, answers_of(model), wanted):
            run.check(f"budget_{options.hbm_budget / GIB:.2f}GiB_streamed_{streamed / 1e9:.2f}GB_"
                      f"{kind}_batch_{ids.shape[0]}", equal(got, want))
        run.check_memory()
        del model
        where.disable()


def large(run):
    options, where = run.options, run.where
    run.enable()
    started = time.perf_counter()
    with torch.device(where.device):
        model = transformers.AutoModelForCausalLM.from_config(
            setup.config_of(options), dtype=torch.bfloat16).eval()
    where.synchronize()
    seconds = time.perf_counter() - started
    total = setup.bytes_of(model)
    run.say("built_s", f"{seconds:.1f} for {total / 1e9:.1f} GB", seconds)
    ids = setup.prompt(options).to(where.device)
    run.check("logits_are_finite", all(part.isfinite().all() for part in answers(model, ids)))
    decode_ways(run, model, ids)
    run.check_memory()
    print(where.report())


def options_of(words):
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("mode", nargs="?", choices=SHAPES, default="decode")
    for name in ("layers", "hidden", "ffn", "vocabulary", "tokens", "rounds"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--prompts", type=int, nargs="+", default=[128, 4096])
    for name in ("hbm-budget", "host-budget", "work"):
        parser.add_argument(f"--{name}", type=parse_size, metavar="SIZE")
    parser.add_argument("--check", action="store_true", help="decode: against the resident logits")
    parser.add_argument("--peer", action="store_true", help="decode: in turns with Accelerate")
    parser.add_argument("--cpu-rows", default=USUAL["cpu_rows"],
                        help="decode, large: auto, off, or a share")
    parser.add_argument("--cpu-threads", type=int, default=USUAL["cpu_threads"])
    parser.add_argument("--packing", nargs="+", default=USUAL["packing"], metavar="WAY",
                        help="decode, large: on, off, in-place, staged")
    parser.add_argument("--shares", type=float, nargs="+", default=[], help="decode, of CPU rows")
    parser.add_argument("--peer-tokens", type=int, default=4)
    parser.add_argument("--link-bytes", type=parse_size, default=GIB, metavar="SIZE")
    parser.add_argument("--stand-in", action="store_true", help="no GPU; times mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    options.cpu_attention = USUAL["cpu_attention"]
    large_mode = options.mode == "large"
    defaults = dict(zip(("layers", "hidden", "ffn", "vocabulary"), SHAPES[options.mode]))
    # A prompt of 4,096 has a KV cache of 640 MiB in the 13B shape, and activations beside it.
    defaults |= {"tokens": 5 if large_mode else 17, "rounds": 3 if large_mode else 5,
                 "hbm_budget": parse_size(BUDGETS.get(options.mode)),
                 "work": 2 * GIB if options.mode == "prefill" else WORK_BYTES}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main():
    options = options_of(sys.argv[1:])
    run = Run(options)
    {"decode": decode, "prefill": prefill, "logits": logits, "large": large}[options.mode](run)
    run.finish()


if __name__ == "__main__":
    main()
