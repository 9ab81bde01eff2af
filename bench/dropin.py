#!/usr/bin/env python3
"""The PyTorch drop-in on a GPU: an unmodified Llama of random bf16 weights beyond its HBM budget.

usage: dropin.py [--layers 40 --hidden 5120 --ffn 13824 --vocabulary 32000] [--hbm-budget 13GiB]
       [--prompt 128] [--tokens 17] [--rounds 3] [--check] [--cpu-rows auto|SHARE]
       [--shares 0.3,0.4,...]

Prints milliseconds a token against the link bound: (bytes of weights - (budget - 1 GiB)) over the
link's rate of the same run. --check compares the logits with the resident model's, bit for bit.
--cpu-rows: the CPU takes part; the bound's rate is then the link's and the CPU's side by side, and
--check compares the logits of one token within 1e-2, twice, and those of the prompt bit for bit.
--shares: afterwards the same with each of these shares, on the same weights.
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


def relative_error(got, wanted):
    return ((got.float() - wanted.float()).norm() / wanted.float().norm()).item()


def check(model, ids, wanted, cpu_rows):
    """What the logits are against the resident model's; whether that will do."""
    with torch.inference_mode():
        prompt = torch.equal(model(ids).logits.cpu(), wanted[0])
        one, again = (model(ids[:, :1]).logits.cpu() for _ in range(2))
    error = relative_error(one, wanted[1])
    print(f"logits of the prompt equal to the resident model's: {prompt}; of one token: relative "
          f"error {error:.2e}, the same twice: {torch.equal(one, again)}")
    return prompt and torch.equal(one, again) and error <= (1e-2 if cpu_rows else 0)


def print_cpu_rows(before, tokens, needed_bytes):
    """Where the CPU's time went a token, and the bound of both together."""
    rows = spillway.torch._active.streamer.cpu_rows
    rates = rows.rates
    cpu = rates.cpu[1]
    print(f"link alone {rates.link_alone / 1e9:.1f} GB/s; side by side link "
          f"{rates.link / 1e9:.1f}, CPU {cpu / 1e9:.1f}; by tokens at once "
          f"{ {n: round(rate / 1e9, 1) for n, rate in rates.cpu.items()} }; "
          f"HBM {rates.hbm / 1e9:.0f}")
    print_cpu_times(before, tokens)
    return needed_bytes / (rates.link + cpu)


def print_cpu_times(before, tokens):
    rows = spillway.torch._active.streamer.cpu_rows
    done = rows.worker.statistics()
    names = {"busy": "busy_seconds", "waiting for x": "x_seconds",
             "for the link": "link_seconds", "without work": "idle_seconds"}
    times = [f"{name} {(getattr(done, field) - getattr(before, field)) * 1e3 / tokens:.1f} ms"
             for name, field in names.items()]
    moved = (done.bytes - before.bytes) / tokens
    print(f"CPU, share {rows.share:.3f}, {done.threads} threads, a token: " + ", ".join(times) +
          f"; {(done.jobs - before.jobs) / tokens:.0f} products, {moved / 1e9:.2f} GB")


def print_shares(model, ids, options):
    """Milliseconds a token by share; weights are cut anew for each."""
    rows = spillway.torch._active.streamer.cpu_rows
    for share in options.shares.split(","):
        rows.share = float(share)
        for parameter in model.parameters():
            if hasattr(parameter, "spillway_weight"):
                parameter.spillway_weight.gpu_rows = None
        seconds(model, ids, 3)
        before = rows.worker.statistics()
        first = seconds(model, ids, 1)
        decode = (seconds(model, ids, options.tokens) - first) / (options.tokens - 1)
        print(f"share {share}: decode {decode * 1e3:.1f} ms a token")
        print_cpu_times(before, options.tokens - 1)


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
    parser.add_argument("--cpu-rows", default="off", help="auto, off, or a share of the rows")
    parser.add_argument("--shares", default="")
    parser.add_argument("--cpu-threads", type=int, default=0)
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
    spillway.torch.enable(hbm_budget=options.hbm_budget, cpu_rows=options.cpu_rows,
                          cpu_threads=options.cpu_threads)
    sampler = Sampler()
    started = time.perf_counter()
    model.to("cuda")
    print(f"{total / 2**30:.2f} GiB placed in {time.perf_counter() - started:.1f} s")
    streamed = sum(p.numel() * 2 for p in model.parameters() if hasattr(p, "spillway_weight"))
    if wanted:
        if not check(model, ids, wanted, options.cpu_rows != "off"):
            sys.exit(1)
    seconds(model, ids, 3)
    decode, prefill = [], []
    rows = spillway.torch._active.streamer.cpu_rows
    before = rows and rows.worker.statistics()
    for _ in range(options.rounds):
        prefill.append(seconds(model, ids, 1))
        decode.append((seconds(model, ids, options.tokens) - prefill[-1]) / (options.tokens - 1))
    budget = parse_size(options.hbm_budget)
    needed = max(0, total - (budget - 2**30))
    bound = needed / link
    if rows:
        bound = print_cpu_rows(before, options.rounds * (options.tokens - 1), needed)
    median = statistics.median(decode)
    print(f"decode {median * 1e3:.1f} ms a token "
          f"({min(decode) * 1e3:.1f} to {max(decode) * 1e3:.1f}); "
          f"link {link / 1e9:.1f} GB/s, bound {bound * 1e3:.1f} ms, {median / bound:.3f} of it")
    print(f"prefill {statistics.median(prefill) * 1e3:.1f} ms; "
          f"{streamed / 1e9:.2f} GB streamed a token")
    print(f"HBM at most {sampler.stop() / 2**30:.2f} GiB; budget {budget / 2**30:.2f} and "
          f"{idle / 2**30:.2f} of an idle process")
    print(spillway.torch.report())
    if rows and options.shares:
        print_shares(model, ids, options)


if __name__ == "__main__":
    main()
