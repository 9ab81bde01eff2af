#!/usr/bin/env python3
"""Fine-tuning beyond HBM by the PyTorch drop-in on a GPU: Llamas of random bf16 weights.

usage: dropin_tune.py lora | full [--json FILE] [OPTION...]

lora  the base model streams, adapters by peft are trained, with checkpoints for each layer. Bound:
      the larger of the resident model's step and of what two copies of the streamed weights take
      over the link, one for the forward pass, one for computing again and the backward pass
full  all of a model, whose gradients and Adam's moments have no room in HBM. Bound: the larger of
      the resident model's forward and backward pass and of what gradients take to the host; then,
      as the update needs all gradients (clipping by their norm), what it reads and writes in the
      host over the link, both ways at once

Each trains the same steps resident, twice, to see whether that repeats itself (lora: before and
after the others, as a machine is not always as fast), and within the budgets, and compares losses,
last gradients and weights. Rates are of the same run. It ends with 1
where answers differ or a budget is broken. By torch's usual kernels the resident model does not
repeat itself: attention's backward pass adds up in any order. With --deterministic torch takes
kernels that do, and all of it must be equal bit for bit. Needs torch, transformers, for lora peft,
and a GPU (--stand-in: none, and times that mean nothing).
"""
import argparse
import copy
import hashlib
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before torch: deterministic

import torch  # noqa: E402

import dropin  # noqa: E402
import dropin_setup as setup  # noqa: E402
from dropin_setup import GIB, MIB  # noqa: E402
from spillway.torch.sizes import parse_size  # noqa: E402

SHAPES = {  # layers, hidden, ffn, vocabulary, steps
    "lora": (40, 5120, 13824, 32000, 20), "full": (16, 2048, 8192, 32000, 50)}
BUDGETS = {  # of HBM (full: what the weights and `work` take), of the host, and `work`
    "lora": ("13GiB", "24GiB", "3.5GiB"), "full": (None, "8GiB", "3GiB")}
WARM_UP = 3  # steps that are not timed: the order is learned, homes are made
CPU_ELEMENTS = 1 << 26  # of the parameter that the CPU's Adam is timed with


class Steps:
    """What training found: a loss a step, digests of the last gradients and weights, and
    seconds."""

    def __init__(self):
        self.losses, self.seconds, self.passes = [], [], []
        self.digests = []

    def timed(self):
        return self.seconds[WARM_UP:]

    def median(self):
        return statistics.median(self.timed())

    def spread(self):
        """The median in milliseconds, for people."""
        timed = self.timed()
        return (f"{self.median() * 1e3:.1f} ({min(timed) * 1e3:.1f} to {max(timed) * 1e3:.1f}), "
                f"forward and backward {statistics.median(self.passes[WARM_UP:]) * 1e3:.1f}")

    def apart(self, other):
        """By how much losses differ at most, of the other's."""
        return max(abs(one - its) / abs(its)
                   for one, its in zip(self.losses, other.losses, strict=True))

    def compared_to(self, other):
        same = [one == its for one, its in zip(self.losses, other.losses, strict=True)]
        first = same.index(False) if False in same else len(same)
        digests = [one == its for one, its in zip(self.digests, other.digests, strict=True)]
        return (f"{self.apart(other):.2e} relative at most, the first {first} of {len(same)} "
                f"losses and {sum(digests)} of {len(digests)} gradients and weights equal")

    def equals(self, other):
        return self.losses == other.losses and self.digests == other.digests


def digest(tensor):
    """Of its bytes: the tensors themselves would count as host memory in use."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return hashlib.sha256(flat.view(torch.uint8).numpy()).hexdigest()


def train(run, model, options):
    """With torch's fused AdamW, on the same tokens each time it is called. What streams is packed
    before steps are timed: beside that the first ones are slower, of however many there will be."""
    where, found = run.where, Steps()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    for step in range(options.steps):
        if step == WARM_UP and (packing := setup.packing_of(where)) is not None:
            packing.wait()
        ids = setup.prompt(options, options.batch, seed=step % 4).to(where.device)
        where.synchronize()
        started = time.perf_counter()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        where.synchronize()
        passed = time.perf_counter()
        if step == options.steps - 1:
            found.digests = [digest(p.grad) for p in trained]
        updating = time.perf_counter()
        optimizer.step()
        where.synchronize()
        found.passes.append(passed - started)
        found.seconds.append(passed - started + time.perf_counter() - updating)
        optimizer.zero_grad()
        found.losses.append(loss.item())
    found.digests += [digest(p) for p in trained]
    return found


def compare(run, ours, resident, again, bound):
    """`again`: the resident model trained once more."""
    options, repeats = run.options, resident.equals(again)
    run.say("losses", f"{ours.losses[0]:.4f} to {ours.losses[-1]:.4f}", ours.losses)
    run.say("losses_apart", ours.compared_to(resident), ours.apart(resident))
    run.say("resident_apart_from_itself", again.compared_to(resident), again.apart(resident))
    run.check("losses_within_1e_3", ours.apart(resident) <= 1e-3)
    if options.deterministic:
        run.check("resident_repeats_itself", repeats)
    else:
        run.say("resident_repeats_itself", "yes" if repeats else "no", repeats)
    if repeats:
        run.check("losses_gradients_weights_equal_resident", ours.equals(resident))
    for name, steps in (("resident_", resident), ("resident_again_", again), ("", ours)):
        run.say(f"{name}step_ms", steps.spread(), [value * 1e3 for value in steps.seconds])
    run.say("of_bound", f"{ours.median() / bound:.3f}; the bound is {bound * 1e3:.1f} ms",
            ours.median() / bound)


def with_checkpoints(model):
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.train()


def lora(run):
    import peft
    options, where = run.options, run.where
    torch.manual_seed(1)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32,
                             target_modules="all-linear")
    model = peft.get_peft_model(with_checkpoints(setup.build(options)), config)
    adapters = [p for p in model.parameters() if p.requires_grad]
    begin = [p.detach().clone() for p in adapters]

    @torch.no_grad()
    def begin_again():
        model.zero_grad()
        for parameter, values in zip(adapters, begin, strict=True):
            parameter.copy_(values)

    def leave():
        model.to("cpu")
        begin_again()
        where.empty_cache()

    resident = train(run, model.to(where.device), options)
    leave()
    run.enable()
    model.to(where.device)
    streamed = setup.streamed_bytes(model)
    link = 2 * streamed / run.link
    run.say("streamed_bytes", f"{streamed / 1e9:.2f} GB, twice {link * 1e3:.1f} ms at the link's "
            f"rate of {run.link / 1e9:.1f} GB/s", streamed)
    ours = train(run, model, options)
    run.check_memory()
    print(where.report())
    leave()
    where.disable()
    again = train(run, model.to(where.device), options)
    compute = statistics.median([*resident.timed(), *again.timed()])
    compare(run, ours, resident, again, max(compute, link))


def full(run):
    options, where = run.options, run.where
    model = with_checkpoints(setup.build(options))
    size, count = setup.bytes_of(model), sum(p.numel() for p in model.parameters())
    rates = both_ways(where, run, options.link_bytes)
    cpu = cpu_adam_seconds(count)
    run.say("cpu_adam_ms", f"{cpu * 1e3:.1f} for {count / 1e9:.2f}e9 parameters by torch's fused "
            f"AdamW on {torch.get_num_threads()} threads", cpu * 1e3)
    resident = train(run, copy.deepcopy(model).to(where.device), options)
    again = train(run, copy.deepcopy(model).to(where.device), options)
    where.empty_cache()
    if options.hbm_budget is None:
        options.hbm_budget = -(-(size + options.work) // MIB) * MIB
    run.enable()
    ours = train(run, model.to(where.device), options)
    gone = sum(p.numel() * p.element_size() for p in model.parameters()
               if "spillway_gradient" in p.__dict__)
    read, written = 3 * gone, 2 * gone  # gradient and two moments; the moments
    update = max(read / run.link, written / rates["out"], (read + written) / rates["both"])
    passes = max(statistics.median(resident.passes[WARM_UP:]), gone / rates["out"])
    run.say("in_host_bytes", f"gradients of {gone / 1e9:.2f} GB, moments twice that; the update "
            f"takes {update * 1e3:.1f} ms at the link's rates", 3 * gone)
    compare(run, ours, resident, again, passes + update)
    took = statistics.median(all_ - part for all_, part in
                             list(zip(ours.seconds, ours.passes))[WARM_UP:])
    run.say("update_ms", f"{took * 1e3:.1f}, {(read + written) / took / 1e9:.1f} GB/s over the "
            f"link, both ways together", took * 1e3)
    run.check_memory()
    print(where.report())


def both_ways(where, run, size):
    """Bytes a second of the copy engines: to the host, and with both ways at once."""
    host, other = where.pinned(size), where.pinned(size)
    hbm = torch.empty(size, dtype=torch.uint8, device=where.device)
    hbm_other = torch.empty_like(hbm)
    side = torch.cuda.Stream() if where.device == "cuda" else None

    def rate(copied, *copies):
        took = []
        for _ in range(4):
            where.synchronize()
            started = time.perf_counter()
            for target, source, stream in copies:
                with torch.cuda.stream(stream):
                    target.copy_(source, non_blocking=True)
            where.synchronize()
            took.append(time.perf_counter() - started)
        return copied / statistics.median(took[1:])

    rates = {"out": rate(size, (host, hbm, None)),
             "both": rate(2 * size, (host, hbm, None), (hbm_other, other, side))}
    run.say("link_rates", f"to the host {rates['out'] / 1e9:.1f} GB/s, both ways at once "
            f"{rates['both'] / 1e9:.1f}", rates)
    del hbm, hbm_other
    where.empty_cache()
    return rates


def cpu_adam_seconds(count):
    """Of so many bf16 parameters with bf16 moments: what the CPU would take instead."""
    parameter = torch.zeros(CPU_ELEMENTS, dtype=torch.bfloat16, requires_grad=True)
    parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW([parameter], fused=True)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:]) * count / CPU_ELEMENTS


def options_of(words):
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("mode", choices=SHAPES)
    for name in ("layers", "hidden", "ffn", "vocabulary", "steps"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--prompt", type=int, default=1024, help="tokens of a sequence")
    parser.add_argument("--batch", type=int, default=2)
    for name in ("hbm-budget", "host-budget", "work"):
        parser.add_argument(f"--{name}", type=parse_size, metavar="SIZE")
    parser.add_argument("--link-bytes", type=parse_size, default=GIB, metavar="SIZE")
    parser.add_argument("--deterministic", action="store_true",
                        help="kernels that repeat themselves; no other ones")
    parser.add_argument("--stand-in", action="store_true", help="no GPU; times mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(words)
    defaults = dict(zip(("layers", "hidden", "ffn", "vocabulary", "steps"), SHAPES[options.mode]))
    for name, text in zip(("hbm_budget", "host_budget", "work"), BUDGETS[options.mode]):
        defaults[name] = parse_size(text)
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.steps <= WARM_UP:
        parser.error(f"--steps {options.steps}: more than {WARM_UP}, which are not timed")
    vars(options).update(dropin.USUAL)
    return options


def main():
    options = options_of(sys.argv[1:])
    # Told to warn only, torch keeps attention's kernels as they are.
    torch.use_deterministic_algorithms(options.deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False
    run = dropin.Run(options)
    {"lora": lora, "full": full}[options.mode](run)
    run.finish()


if __name__ == "__main__":
    main()
