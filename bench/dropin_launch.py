#!/usr/bin/env python3
"""What launching a token takes Python beside CPU rows, and by what: a Llama of random bf16 weights
on a GPU.

usage: dropin_launch.py [--layers 20] [--hbm-budget 7GiB] [--resident] [OPTION of dropin.py...]

With --resident first the resident model, alone and beside threads that multiply all the time. Then
within the budget with CPU rows: milliseconds a token in all, until it was launched, and of that on
a core, medians of tokens; where the CPU's time went; and the same with the calls of what is ours
counted and timed, in milliseconds a token and microseconds a call, with what they call (timing
adds a microsecond a call). Needs torch, transformers and a GPU; SPILLWAY_LIBRARY names
libspillway.so.1.
"""
import collections
import statistics
import sys
import threading
import time

import torch
from transformers.cache_utils import DynamicCache
from transformers.models.llama import modeling_llama

import dropin
import dropin_cpu
import dropin_setup as setup
from spillway import library
from spillway.row_worker import BF16, Job, RowWorker
from spillway.torch import kv_partly, placement

TOKENS = 16
AGAIN = 4
BUSY_ROWS, BUSY_COLUMNS = 65536, 4096  # of what the threads multiply: 5 ms


@torch.no_grad()
def tokens(run, model, ids, title=None):
    """A prompt, and tokens after it."""
    cache = DynamicCache(config=model.config)
    logits = model(ids, past_key_values=cache, logits_to_keep=1).logits
    rows = []
    for _ in range(TOKENS):
        ids = logits[:, -1:].argmax(-1)
        run.where.synchronize()
        core, started = time.thread_time(), time.perf_counter()
        logits = model(ids, past_key_values=cache, logits_to_keep=1).logits
        launched, core = time.perf_counter(), time.thread_time() - core
        run.where.synchronize()
        rows.append((1e3 * (time.perf_counter() - started), 1e3 * (launched - started), 1e3 * core))
    if title:
        total, launch, core = (statistics.median(column) for column in zip(*rows))
        launches = [row[1] for row in rows]
        run.say(title, f"{total:.1f} ms a token, launched in {launch:.1f} ({min(launches):.1f} to "
                f"{max(launches):.1f}), {core:.1f} of it on a core", rows)


class Busy:
    """Threads that multiply until close()."""

    def __init__(self, threads):
        self._pool = library.Pool(library.Library(), host_budget=setup.GIB)
        self._worker = RowWorker(self._pool, threads)
        self._weight = torch.zeros(BUSY_ROWS, BUSY_COLUMNS, dtype=torch.bfloat16)
        self._channel = self._worker.channel(BUSY_COLUMNS, BUSY_ROWS)
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        job = Job(self._weight.data_ptr(), (BUSY_ROWS, BUSY_COLUMNS), BF16, 1)
        while not self._stop:
            self._channel.compute(job)

    def close(self):
        self._stop = True
        self._thread.join()
        self._channel.close()
        self._worker.close()


def resident(run, model, ids):
    for _ in range(2):  # attention is prepared for each length
        tokens(run, model, ids)
    for turn in range(AGAIN):
        tokens(run, model, ids, f"resident_{turn}")
        busy = Busy(run.options.cpu_threads)
        tokens(run, model, ids, f"resident_beside_threads_{turn}")
        busy.close()


class Calls:
    """Of functions that it takes the place of: how many, and how long."""

    def __init__(self):
        self._of = collections.defaultdict(lambda: [0, 0.0])
        self._before = []

    def watch(self, owner, *names, title=None):
        """`title`: of the owner."""
        for name in names:
            self._watch(owner, name, f"{title or owner_name(owner)}.{name}")

    def _watch(self, owner, name, title):
        original, entry = getattr(owner, name), self._of[title]

        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                entry[0] += 1
                entry[1] += time.perf_counter() - started
        self._before.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, timed)

    def restart(self):
        for entry in self._of.values():
            entry[:] = 0, 0.0

    def remove(self):
        for owner, name, before in reversed(self._before):
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def say(self, passes):
        for name, (calls, seconds) in sorted(self._of.items(), key=lambda one: -one[1][1]):
            if calls:
                print(f"  {name:36} {1e3 * seconds / passes:7.2f} ms {calls / passes:7.1f} calls "
                      f"{1e6 * seconds / calls:7.1f} us")


def owner_name(owner):
    return getattr(owner, "__name__", type(owner).__name__)


def watch(streamer, model):
    calls, layer = Calls(), model.model.layers[0]
    for kind in map(type, (layer.self_attn, layer.mlp, layer.input_layernorm)):
        calls.watch(kind, "forward")
    layers = model.model.layers
    for at, layer in enumerate(layers):
        leads = placement.leads(at, len(layers))
        calls.watch(layer, "forward", title="leading layer" if leads else "layer")
        calls.watch(layer.self_attn, "forward", title="leading attention" if leads else "attention")
    calls.watch(modeling_llama, "apply_rotary_pos_emb")
    calls.watch(torch.nn.Linear, "forward")
    calls.watch(torch.nn.functional, "linear", "scaled_dot_product_attention")
    calls.watch(streamer, "linear")
    calls.watch(streamer.cpu_rows, "takes_part", "linear", "_ours")
    calls.watch(streamer.ring, "fetch", "release", "_look_ahead", "_load", "_extend", "_take")
    calls.watch(streamer.device, "multiply_rows", "mark_link", "wait", "mark", "passed", "unpack",
                "copy", "attend")
    calls.watch(streamer.kv, "update")
    calls.watch(kv_partly, "_attend", "partly")
    if streamer.packing is not None:
        calls.watch(streamer.packing, "note")
        calls.watch(streamer.packing.unpacker, "start")
    return calls


def streamed(run, model, ids):
    streamer = run.where.streamer
    for _ in range(3):
        tokens(run, model, ids)
    if streamer.packing is not None:
        streamer.packing.wait()
    for turn in range(AGAIN):
        before = streamer.cpu_rows.worker.statistics()
        tokens(run, model, ids, f"streamed_{turn}")
        print("  the CPU, of a token: " + dropin_cpu.times(before, run.options))
    calls = watch(streamer, model)
    tokens(run, model, ids)
    calls.restart()
    tokens(run, model, ids, "streamed_with_calls_timed")
    calls.remove()
    calls.say(TOKENS + 1)  # the prompt's among them


def main():
    own = "--resident"
    options = dropin.options_of(["decode", "--layers", "20", "--hbm-budget", "7GiB", "--cpu-rows",
                                 "auto", *(word for word in sys.argv[1:] if word != own)])
    options.tokens = TOKENS + 1
    run = dropin.Run(options)
    model = setup.build(options)
    ids = setup.prompt(options).to(run.where.device)
    if own in sys.argv:
        resident(run, model.to(run.where.device), ids)
        model.to("cpu")
        run.where.empty_cache()
    run.enable()
    model.to(run.where.device)
    streamed(run, model, ids)
    run.check_memory()
    print(dropin_cpu.rows().report())
    run.finish()


if __name__ == "__main__":
    main()
