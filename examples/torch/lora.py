#!/usr/bin/env python3
"""Trains LoRA adapters on a text file, for a model that may be larger than the GPU's memory.

usage: lora.py MODEL_FOLDER TEXT_FILE OUT_FOLDER [--hbm-budget 13GiB] [--host-budget 64GiB]
       [--work 4GiB] [--steps 20] [--tokens 1024] [--batch 2]

Needs a folder of a model as transformers loads it, peft, and a GPU. The base model's weights
stream; adapters, their gradients and the optimizer's state stay in HBM, in `work`, with the
activations. A budget that is not given is $SPILLWAY_HBM_BUDGET or $SPILLWAY_HOST_BUDGET, else 0.9
of what is free.
"""
import argparse
from pathlib import Path

import peft
import torch
import transformers

import spillway.torch

parser = argparse.ArgumentParser()
for name in ("model", "text", "out"):
    parser.add_argument(name)
for name in ("hbm-budget", "host-budget", "work"):
    parser.add_argument(f"--{name}")
for name, value in (("steps", 20), ("tokens", 1024), ("batch", 2)):
    parser.add_argument(f"--{name}", type=int, default=value)
options = parser.parse_args()

# The one call that makes the difference. What follows is what people have.
spillway.torch.enable(options.hbm_budget, options.host_budget, work=options.work)

tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype="bfloat16")
model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32,
                                                   target_modules="all-linear"))
model.print_trainable_parameters()

ids = tokenizer(Path(options.text).read_text(), return_tensors="pt").input_ids[0]
blocks = [block for block in ids.split(options.tokens) if len(block) == options.tokens]
if not blocks:
    parser.error(f"{options.text} has {len(ids)} tokens: give --tokens so many, or fewer")
arguments = transformers.TrainingArguments(
    output_dir=options.out, max_steps=options.steps, per_device_train_batch_size=options.batch,
    gradient_checkpointing=True, gradient_checkpointing_kwargs={"use_reentrant": False},
    bf16=torch.cuda.is_available(), learning_rate=2e-4, logging_steps=1, save_strategy="no",
    report_to="none")
trainer = transformers.Trainer(model=model, args=arguments, train_dataset=[
    {"input_ids": block, "labels": block} for block in blocks])
trainer.train()
model.save_pretrained(options.out)  # the adapters only

print(spillway.torch.report())
