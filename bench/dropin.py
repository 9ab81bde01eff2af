#!/usr/bin/env python3
"""The PyTorch drop-in on a GPU: an unmodified Llama of random bf16 weights beyond its HBM budget.

usage: dropin.py [--layers 40 --hidden 5120 --ffn 13824 --vocabulary 32000] [--hbm-budget 13GiB]
       [--prompt 128] [--tokens 17] [--rounds 3] [--check]

Prints milliseconds a token against the link bound: (bytes of weights - (budget - 1 GiB)) over the
link's rate of the same run. --check compares the logits with the resident model's, bit for bit.
Needs torch, transformers and a GPU; SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import statistics
import sys
import threading
import time
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins" / "python"))
import spillway.torch  # noqa: E402
from spillway.torch.sizes import parse_size  # noqa: E402


def build(options):
    config = transformers.LlamaConfig(
        hidden_size=options.hidden, intermediate_size=options.ffn, num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 128, num_key_value_heads=8,
        vocab_size=options.vocabulary, max_position_embeddings=8192)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    model.to_empty(device="cpu")
    noise = (torch.randn(1 << 22) * 0.02).to(torch.bfloat16)
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        if parameter.dim() == 1:
            flat.fill_(1)
            continue
        for at in range(0, flat.numel(), noise.numel()):
            flat[at:at + noise.numel()] = noise[:flat.numel() - at]
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    torch.set_default_dtype(torch.float32)
    return model.eval()


def link_rate():
    """Bytes a second of the copy engine, host to HBM."""
    source = torch.empty(1 << 30, dtype=torch.uint8).pin_memory()
    target = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    rates = []
    for _ in range(4):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()
        rates.append(source.numel() / (time.perf_counter() - started))
    return statistics.median(rates[1:])


class Sampler:
    """The most of HBM that was in use, as the driver says, every 10 ms."""

    def __init__(self):
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.01):
            free, total = torch.cuda.mem_get_info()
            self.most = max(self.most, total - free)

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.most


def seconds(model, ids, tokens):
    torch.cuda.synchronize()
    started = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
                   min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    torch.cuda.synchronize()
    return time.perf_counter() - started


def idle_bytes():
    """What a torch process holds after one cuBLAS call."""
    a = torch.ones(1024, 1024, device="cuda", dtype=torch.bfloat16)
    (a @ a).sum().item()
    free, total = torch.cuda.mem_get_info()
    return total - free


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("layers", 40), ("hidden", 5120), ("ffn", 13824), ("vocabulary", 32000),
                        ("prompt", 128), ("tokens", 17), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--hbm-budget", default="13GiB")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    idle = idle_bytes()
    link = link_rate()
    torch.cuda.empty_cache()
    model = build(options)
    total = sum(p.numel() * 2 for p in model.parameters())
    ids = torch.randint(0, options.vocabulary, (1, options.prompt),
                        generator=torch.Generator().manual_seed(0)).cuda()
    wanted = None
    if options.check:
        model.to("cuda")
        with torch.no_grad():
            wanted = [model(ids).logits.cpu(), model(ids[:, :1]).logits.cpu()]
        model.to("cpu")
        torch.cuda.empty_cache()
    spillway.torch.enable(hbm_budget=options.hbm_budget)
    sampler = Sampler()
    started = time.perf_counter()
    model.to("cuda")
    print(f"{total / 2**30:.2f} GiB placed in {time.perf_counter() - started:.1f} s")
    streamed = sum(p.numel() * 2 for p in model.parameters() if hasattr(p, "spillway_weight"))
    if wanted:
        with torch.no_grad():
            same = [torch.equal(model(ids).logits.cpu(), wanted[0]),
                    torch.equal(model(ids[:, :1]).logits.cpu(), wanted[1])]
        print(f"logits equal to the resident model's, prompt and one token: {same}")
        if not all(same):
            sys.exit(1)
    seconds(model, ids, 3)
    decode, prefill = [], []
    for _ in range(options.rounds):
        prefill.append(seconds(model, ids, 1))
        decode.append((seconds(model, ids, options.tokens) - prefill[-1]) / (options.tokens - 1))
    budget = parse_size(options.hbm_budget)
    bound = max(0, total - (budget - 2**30)) / link
    median = statistics.median(decode)
    print(f"decode {median * 1e3:.1f} ms a token "
          f"({min(decode) * 1e3:.1f} to {max(decode) * 1e3:.1f}); "
          f"link {link / 1e9:.1f} GB/s, bound {bound * 1e3:.1f} ms, {median / bound:.3f} of it")
    print(f"prefill {statistics.median(prefill) * 1e3:.1f} ms; "
          f"{streamed / 1e9:.2f} GB streamed a token")
    print(f"HBM at most {sampler.stop() / 2**30:.2f} GiB; budget {budget / 2**30:.2f} and "
          f"{idle / 2**30:.2f} of an idle process")
    print(spillway.torch.report())


if __name__ == "__main__":
    main()
