#!/usr/bin/env python3
"""How fast packed bfloat16 weights come over a GPU's link, by the number of blocks of the kernel.

usage: unpack_rate.py [--size 256MiB] [--blocks 1 2 4 8 16 32] [--staging 2MiB 8MiB 32MiB]

GB/s of plain bytes: of the copy engine, which brings them as they are; of the kernel that reads the
packed ones in place; of copies of the packed ones by way of staging. Ends with 1 where a byte
differs. Needs torch and a GPU; SPILLWAY_LIBRARY names libspillway.so.1.
"""
import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins" / "python"))
from spillway import library  # noqa: E402
from spillway.packed import Unpacker, pack  # noqa: E402
from spillway.torch import devices  # noqa: E402
from spillway.torch.sizes import format_size, parse_size  # noqa: E402

ROUNDS = 7


def seconds(stream, work):
    """Median of rounds of what is put into the stream."""
    taken = []
    for _ in range(ROUNDS + 2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        work()
        stream.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[2:])


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--size", type=parse_size, default=256 << 20)
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--staging", type=parse_size, nargs="+",
                        default=[2 << 20, 8 << 20, 16 << 20, 64 << 20])
    options = parser.parse_args()
    elements = options.size // 2
    pool = library.Pool(library.Library(), host_budget=4 * options.size)
    device = devices.Cuda(0)
    keeper = devices.Keeper(pool.host_region(options.size, "plain"), device.synchronize)
    home = device.tensor(keeper, (elements,), torch.bfloat16)
    noise = torch.empty(1 << 22).normal_(std=0.02).to(torch.bfloat16)
    device.write(home, noise.repeat(-(-elements // len(noise)))[:elements])
    started = time.perf_counter()
    packed = pack(pool, keeper.region.address, elements, "packed")
    print(f"packed by one thread: {options.size / (time.perf_counter() - started) / 1e9:.2f} GB/s, "
          f"{8 * packed.size_bytes / elements:.2f} bits an element")
    target = torch.zeros(elements, dtype=torch.bfloat16, device="cuda")
    stream = torch.cuda.Stream()
    ok = True

    def say(what, work):
        nonlocal ok
        target.zero_()
        taken = seconds(stream, work)
        right = torch.equal(target.view(torch.int16), home.view(torch.int16))
        ok = ok and right
        print(f"{what}: {options.size / taken / 1e9:.1f} GB/s of plain bytes, "
              f"{packed.size_bytes / taken / 1e9:.1f} of packed ones{'' if right else '; WRONG'}")

    def copy():
        with torch.cuda.stream(stream):
            target.copy_(home, non_blocking=True)

    say("copy engine, plain", copy)
    for blocks in options.blocks:
        unpacker = Unpacker(pool, None, blocks)
        say(f"in place, {blocks} blocks", lambda: unpacker.start(
            packed, elements, target.data_ptr(), stream.cuda_stream))
        unpacker.close()
    for size in options.staging:
        staging = torch.empty(size, dtype=torch.uint8, device="cuda")
        for blocks in options.blocks[-4:]:
            unpacker = Unpacker(pool, (staging.data_ptr(), size), blocks)
            say(f"staging of {format_size(size)}, {blocks} blocks", lambda: unpacker.start(
                packed, elements, target.data_ptr(), stream.cuda_stream))
            unpacker.close()
    packed.close()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
