#!/usr/bin/env python3
"""Asks a model that may be larger than the GPU's memory which mountain is the tallest.

usage: mountain.py MODEL_FOLDER [--hbm-budget 12GiB] [--host-budget 64GiB]

Needs a folder of a chat model as transformers loads it, and a GPU. A budget that is not given is
$SPILLWAY_HBM_BUDGET or $SPILLWAY_HOST_BUDGET, else 0.9 of what is free.
"""
import argparse

import transformers

import spillway.torch

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--hbm-budget")
parser.add_argument("--host-budget")
options = parser.parse_args()

# The one call that makes the difference. What follows is what people have.
spillway.torch.enable(options.hbm_budget, options.host_budget)

pipe = transformers.pipeline("text-generation", model=options.model, device="cuda",
                             dtype="bfloat16")
question = [{"role": "user", "content": "Which is the tallest mountain in the world?"}]
answer = pipe(question, max_new_tokens=32, do_sample=False)
print(answer[0]["generated_text"][-1]["content"])

print(spillway.torch.report())
