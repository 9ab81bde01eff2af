#!/usr/bin/env python3
"""A model of the shape of Llama 3 70B, 141 GB of random bf16 weights, on one GPU of 80 GB.

usage: llama70b.py [--hbm-budget 76GiB] [--host-budget 72GiB] [--link 54GB] [--plan-only]
       [--layers 80 --hidden 8192 --ffn 28672 --vocabulary 128256] [--tokens 8]

First the plan, which needs no GPU and stops here with --plan-only; then the model is made straight
in its homes, answers, and says how long a token took beside what was planned.
"""
import argparse
import time

import torch
import transformers

import spillway.torch

parser = argparse.ArgumentParser()
parser.add_argument("--hbm-budget", default="76GiB")
parser.add_argument("--host-budget", default="72GiB")
parser.add_argument("--link", help="bytes a second from the host to the GPU; else measured")
parser.add_argument("--plan-only", action="store_true")
for name, value in (("layers", 80), ("hidden", 8192), ("ffn", 28672),
                    ("vocabulary", 128256), ("tokens", 8)):
    parser.add_argument(f"--{name}", type=int, default=value)
options = parser.parse_args()
budgets = {"hbm_budget": options.hbm_budget, "host_budget": options.host_budget}

config = transformers.LlamaConfig(
    architectures=["LlamaForCausalLM"], hidden_size=options.hidden, intermediate_size=options.ffn,
    num_hidden_layers=options.layers, num_attention_heads=options.hidden // 128,
    num_key_value_heads=8, vocab_size=options.vocabulary, max_position_embeddings=8192,
    dtype="bfloat16")
print(spillway.torch.plan(config, **budgets, link=options.link))
if options.plan_only:
    raise SystemExit

spillway.torch.enable(**budgets)
started = time.perf_counter()
with torch.device("cuda"):  # each weight gets its home as it is made
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
print(f"made in {time.perf_counter() - started:.1f} s")

# The second pass spreads the homes evenly in the order of use that the first one has shown.
prompt = torch.arange(1, 33, device="cuda")[None]
model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=options.tokens,
               min_new_tokens=options.tokens, do_sample=False, pad_token_id=0)
print(spillway.torch.report(model))
