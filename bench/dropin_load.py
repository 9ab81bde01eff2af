#!/usr/bin/env python3
"""Loading by the PyTorch drop-in: a sharded safetensors checkpoint, written here, by pipeline().

usage: dropin_load.py [--folder /tmp/dropin_load] [--layers 40 --hidden 5120 --ffn 13824
       --vocabulary 32000] [--hbm-budget 13GiB] [--rounds 3] [--keep]

Writes a Llama of random bf16 weights, drops it from the page cache, and loads it under enable().
Prints the load's rate against min(disk, link), both of the same run (O_DIRECT reads of a shard by
bench/disk_rate.py with the best of its settings, before a load and after it; the copy engine), in
how many of the samples the disk had nothing to read, and the host's peak against the weights
whose home is the host: what the system had available less at the worst, sampled every 10 ms (pinned
pages are in it, clean page cache is not), so nothing else should run. Exit code 1 below 0.8 of the
bound or above 2 GiB over the weights. Needs a GPU; SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import gc
import itertools
import json
import shutil
import statistics
import sys
import threading
import time
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "plugins" / "python"), str(ROOT / "bench")]
import disk_rate  # noqa: E402
import dropin_setup as setup  # noqa: E402

import spillway.torch  # noqa: E402

GIB = 1 << 30
SHARD_BYTES = 5 * GIB
NOISE_BYTES = 64 << 20


def write_checkpoint(folder, config):
    """Shards of noise in bfloat16, and what else a pipeline wants."""
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    noise = (torch.randn(NOISE_BYTES // 2) * 0.02).bfloat16().view(torch.uint8).numpy()
    shards, size = [[]], 0
    for name, parameter in model.named_parameters():
        if size + 2 * parameter.numel() > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, parameter.shape))
        size += 2 * parameter.numel()
    index = {}
    for number, tensors in enumerate(shards):
        file = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, tensors, memoryview(noise))
        index.update((name, file) for name, _ in tensors)
    total = sum(2 * p.numel() for p in model.parameters())
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": total}, "weight_map": index}))
    config.architectures, config.dtype = ["LlamaForCausalLM"], torch.bfloat16
    config.save_pretrained(folder)
    write_tokenizer(folder)
    return total


def write_shard(path, tensors, noise):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        size = 2 * shape.numel()
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as the package pads it: tensors begin anywhere in a page
    with open(path, "wb", buffering=0) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        while at:
            at -= file.write(noise[:min(at, len(noise))])
        disk_rate.os.fsync(file.fileno())


def write_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2, "b": 3}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)


def drop(folder):
    """From the page cache."""
    for path in folder.glob("*.safetensors"):
        with open(path, "rb") as file:
            disk_rate.os.posix_fadvise(file.fileno(), 0, 0, disk_rate.os.POSIX_FADV_DONTNEED)


class Disk:
    """Reads of the first shard, of the size and as many at once as gave the most."""

    def __init__(self, folder):
        self._path = sorted(folder.glob("*.safetensors"))[0]
        settings = itertools.product((1 << 20, 2 << 20, 4 << 20), (8, 16, 32))
        self.block, self.depth = max(settings, key=lambda each: self._rate(*each))

    def _rate(self, block, depth):
        return disk_rate.sweep(self._path, block, depth, direct=True)

    def bytes_per_second(self):
        return self._rate(self.block, self.depth)


class Samples(threading.Thread):
    """The least that the system had available, and how often the reader had nothing to read."""

    def __init__(self, reader):
        super().__init__(daemon=True)
        self._reader = reader
        self.taken = self.idle = 0
        self.first = self.least = self.read()
        self.stopped = threading.Event()
        self.start()

    @staticmethod
    def read():
        for line in open("/proc/meminfo"):
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) << 10
        raise OSError("/proc/meminfo does not say what is available")

    def run(self):
        while not self.stopped.wait(0.01):
            self.least = min(self.least, self.read())
            self.taken += 1
            self.idle += self._reader.pending() == 0

    def stop(self):
        """(the peak, the idle share)."""
        self.stopped.set()
        self.join()
        return self.first - self.least, self.idle / max(1, self.taken)


def load(options):
    """(seconds, share of them without a read, peak of the host, bytes whose home it is)."""
    drop(options.folder)
    spillway.torch.enable(hbm_budget=options.hbm_budget)
    try:
        torch.ones(1, device="cuda").sum().item()
        samples = Samples(spillway.torch._active.streamer.device.reader)
        started = time.perf_counter()
        pipe = transformers.pipeline("text-generation", model=str(options.folder), device="cuda",
                                     dtype="bfloat16")
        torch.cuda.synchronize()
        took = time.perf_counter() - started
        peak, idle = samples.stop()
        in_host = sum(p.numel() * p.element_size() for p in pipe.model.parameters()
                      if hasattr(p, "spillway_weight"))
        pipe("a b a", max_new_tokens=2, do_sample=False)
        return took, idle, peak, in_host
    finally:
        spillway.torch.disable()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/dropin_load"))
    for name, value in (("layers", 40), ("hidden", 5120), ("ffn", 13824), ("vocabulary", 32000),
                        ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--hbm-budget", default="13GiB")
    parser.add_argument("--keep", action="store_true", help="the checkpoint stays")
    options = parser.parse_args()
    config = transformers.LlamaConfig(
        hidden_size=options.hidden, intermediate_size=options.ffn, num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 128, num_key_value_heads=8,
        vocab_size=options.vocabulary, max_position_embeddings=8192)
    options.folder.mkdir(parents=True)
    try:
        started = time.perf_counter()
        total = write_checkpoint(options.folder, config)
        print(f"{total / GIB:.2f} GiB written in {time.perf_counter() - started:.1f} s", flush=True)
        link = setup.link_rate(setup.Gpu())
        sys.exit(0 if measure(options, total, link) else 1)
    finally:
        if not options.keep:
            shutil.rmtree(options.folder)


def measure(options, total, link):
    shares, excesses = [], []
    drop(options.folder)
    reads = Disk(options.folder)
    print(f"the disk's best: {reads.depth} reads of {reads.block >> 20} MiB at once", flush=True)
    for _ in range(options.rounds):
        before = reads.bytes_per_second()
        took, idle, peak, in_host = load(options)
        gc.collect()
        torch.cuda.empty_cache()
        disk = statistics.mean([before, reads.bytes_per_second()])
        bound = min(disk, link)
        shares.append(total / took / bound)
        excesses.append(peak - in_host)
        print(f"loaded in {took:.2f} s, {total / took / 1e9:.2f} GB/s; disk {disk / 1e9:.2f}, link "
              f"{link / 1e9:.1f} GB/s: {shares[-1]:.3f} of the bound; nothing to read in "
              f"{idle:.0%} of it; host at most "
              f"{peak / GIB:.2f} GiB, {in_host / GIB:.2f} of it weights, page cache dropped before",
              flush=True)
    share, excess = statistics.median(shares), max(excesses)
    print(f"median {share:.3f} of the bound (must be >= 0.8); host at most {excess / GIB:.2f} GiB "
          f"over its weights (must be <= 2)")
    return share >= 0.8 and excess <= 2 * GIB


if __name__ == "__main__":
    main()
