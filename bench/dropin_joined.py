#!/usr/bin/env python3
"""Joined steps (spillway/torch/joined.py) against torch's own, in turns in one process: a Llama of
random bf16 weights beyond its HBM budget.

usage: dropin_joined.py [OPTION of dropin.py decode...]

Microseconds of Python's thread for a norm and for a rotation, alone; milliseconds a token with
joined steps and without, each in every round. It ends with 1 where answers differ. Needs torch,
transformers and a GPU (--stand-in: none, and times that mean nothing); SPILLWAY_LIBRARY names
libspillway.so.1.
"""
import statistics
import sys
import time

import torch
from transformers.models.llama import modeling_llama

import dropin
import dropin_packing
import dropin_setup as setup

WAYS = {"joined": True, "torchs_own": False}
CALLS = 1000


@torch.no_grad()
def microseconds(run, call):
    """Of this thread, a call, once it has been warmed up."""
    for _ in range(CALLS // 10):
        call()
    run.where.synchronize()
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    seconds = time.perf_counter() - started
    run.where.synchronize()
    return 1e6 * seconds / CALLS


def steps(model, where):
    """A norm and a rotation of one token of the model's."""
    config = model.config
    dim = config.hidden_size // config.num_attention_heads

    def random(*shape):
        return torch.randn(shape).to(where.device, torch.bfloat16)

    x, angle = random(1, 1, config.hidden_size), random(1, 1, dim)
    q, k = (random(1, heads, 1, dim)
            for heads in (config.num_attention_heads, config.num_key_value_heads))
    return {"norm": lambda: model.model.norm(x),
            "rotation": lambda: modeling_llama.apply_rotary_pos_emb(q, k, angle, angle)}


def main():
    options = dropin.options_of(["decode", *sys.argv[1:]])
    run = dropin.Run(options)
    model = setup.build(options)
    ids = setup.prompt(options).to(run.where.device)
    run.enable()
    model.to(run.where.device)
    dropin_packing.say_packed(run, model, ids)
    joined = run.where.streamer.kv.joined
    milliseconds, answers = {way: [] for way in WAYS}, {}
    for _ in range(options.rounds):
        for way, on in WAYS.items():
            joined.on = on
            seconds, _ = setup.decode_seconds(run.where.synchronize, model, ids, options.tokens)
            milliseconds[way].append(1e3 * seconds)
            run.check("kernels_are_there", joined.on == on)  # or it would have been turned off
    for way, on in WAYS.items():
        joined.on = on
        answers[way] = setup.answers(model, ids)
        for name, step in steps(model, run.where).items():
            taken = microseconds(run, step)
            run.say(f"{name}_us_{way}", f"{taken:.1f}", taken)
    joined.on = True
    run.check("nothing_is_left_to_torch", joined.report() == "")
    for way, taken in milliseconds.items():
        run.say(f"decode_ms_{way}", f"{statistics.median(taken):.1f} a token ({min(taken):.1f} to "
                f"{max(taken):.1f})", taken)
    run.check("answers_are_equal", setup.equal(*answers.values()))
    run.check_memory()
    run.finish()


if __name__ == "__main__":
    main()
