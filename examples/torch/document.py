#!/usr/bin/env python3
"""Asks a chat model about a long document, whose KV cache may be larger than the GPU's memory.

usage: document.py MODEL_FOLDER TEXT_FILE QUESTION [--session FILE] [--tokens N] [--chunk 1024]
       [--answer 64] [--hbm-budget 24GiB] [--host-budget 64GiB]

The document is read once, in chunks; with --session its cache is kept in that file, and the next
question about it begins where reading ended. --tokens: of the document, from its beginning; else as
much as the model has positions for. A budget that is not given is $SPILLWAY_HBM_BUDGET or
$SPILLWAY_HOST_BUDGET, else 0.9 of what is free.
"""
import argparse
import time
from pathlib import Path

import torch
import transformers

import spillway.torch

parser = argparse.ArgumentParser()
for name in ("model", "document", "question"):
    parser.add_argument(name)
parser.add_argument("--session", type=Path)
parser.add_argument("--tokens", type=int)
parser.add_argument("--chunk", type=int, default=1024)
parser.add_argument("--answer", type=int, default=64)
parser.add_argument("--hbm-budget")
parser.add_argument("--host-budget")
options = parser.parse_args()

spillway.torch.enable(options.hbm_budget, options.host_budget)
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype="bfloat16").eval()


def ids_of(text):
    return tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids


# The chat template around the document: what comes before it, and what comes after.
frame = tokenizer.apply_chat_template([{"role": "user", "content": "@document@"}], tokenize=False,
                                      add_generation_prompt=True)
before, after = (ids_of(text) for text in frame.split("@document@"))
question = torch.cat([ids_of("\n\n" + options.question), after], 1)
room = model.config.max_position_embeddings - before.shape[1] - question.shape[1] - options.answer
document = ids_of(Path(options.document).read_text())[:, :min(room, options.tokens or room)]
read = torch.cat([before, document], 1).to(model.device)

started = time.perf_counter()
if options.session and options.session.exists():
    cache = spillway.torch.load_cache(options.session, model)  # refused if it is another model's
    what = "restored"
else:
    cache = transformers.DynamicCache(config=model.config)
    with torch.no_grad():
        for part in read.split(options.chunk, 1):
            model(part, past_key_values=cache, logits_to_keep=1)
    what = "read"
    if options.session:
        spillway.torch.save_cache(cache, options.session, model)
if cache.get_seq_length() != read.shape[1]:
    raise SystemExit(f"{options.session} is the session of another document")
print(f"{read.shape[1]:,} tokens {what} in {time.perf_counter() - started:.1f} s")

ids = torch.cat([read, question.to(model.device)], 1)
answer = model.generate(ids, attention_mask=torch.ones_like(ids), past_key_values=cache,
                        max_new_tokens=options.answer, do_sample=False,
                        pad_token_id=tokenizer.eos_token_id)
print(tokenizer.decode(answer[0, ids.shape[1]:], skip_special_tokens=True))
print(spillway.torch.report(model))
