#!/usr/bin/env python3
"""Measures how fast a file can be read from disk, apart from Spillway's own measurement.

usage: disk_rate.py FILE [--sweeps 5] [--staging MIB]

Threads read the file with pread: O_DIRECT over block sizes and depths, and buffered with the page
cache dropped before. Prints the median of each setting; --staging leaves out what would not fit in
that many MiB in flight. Rates are decimal GB/s.
"""
import argparse
import contextlib
import ctypes
import itertools
import json
import mmap
import os
import statistics
import threading
import time

KIB, MIB = 1 << 10, 1 << 20
BLOCKS = [256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB]
DEPTHS = [2, 4, 8, 16]
ALIGNMENT = 4096  # of O_DIRECT, safe everywhere
HUGE_PAGE = 2 << 20


def memory_in_huge_pages(size):
    """Where the system has them: a request of the disk then has fewer pieces."""
    pages = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(pages)) % HUGE_PAGE
    return memoryview(pages)[start:start + size]


def sweep(path, block, depth, direct):
    """Reads the whole file once; returns bytes per second."""
    descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    try:
        size = os.fstat(descriptor).st_size
        if direct:
            size = size // ALIGNMENT * ALIGNMENT
        else:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        offsets = iter(range(0, size, block))
        lock = threading.Lock()

        def reader(buffer):
            while True:
                with lock:
                    offset = next(offsets, None)
                if offset is None:
                    return
                os.preadv(descriptor, [buffer[:min(block, size - offset)]], offset)

        buffers = [memory_in_huge_pages(block) for _ in range(depth)]
        for buffer in buffers:
            buffer[:] = b"\1" * block  # the first touch is not the disk's
        threads = [threading.Thread(target=reader, args=[buffer]) for buffer in buffers]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return size / (time.monotonic() - begin)
    finally:
        os.close(descriptor)


class Rates:
    """Medians by setting; sweeps are added in rounds so that they can alternate with other work."""

    def __init__(self, path, staging=None):
        self.path = path
        self.settings = [(block, depth) for block, depth in itertools.product(BLOCKS, DEPTHS)
                         if staging is None or block * depth <= staging]
        self.direct = {setting: [] for setting in self.settings}
        self.buffered = []

    def add_round(self):
        for block, depth in self.settings:
            try:
                self.direct[block, depth].append(sweep(self.path, block, depth, direct=True))
            except OSError:
                pass  # O_DIRECT is refused here
        self.buffered.append(sweep(self.path, MIB, 4, direct=False))

    def best_direct(self):
        """(bytes per second, block, depth); zero where O_DIRECT is refused."""
        medians = [(statistics.median(rates), *setting)
                   for setting, rates in self.direct.items() if rates]
        return max(medians, default=(0, 0, 0))

    def median_buffered(self):
        return statistics.median(self.buffered)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--sweeps", type=int, default=5)
    parser.add_argument("--staging", type=int, help="most MiB in flight")
    options = parser.parse_args()
    rates = Rates(options.file, options.staging and options.staging * MIB)
    for _ in range(options.sweeps):
        rates.add_round()
    for (block, depth), found in rates.direct.items():
        if found:
            print(f"O_DIRECT {block // KIB:5} KiB x {depth:2}: "
                  f"{statistics.median(found) / 1e9:.2f} GB/s "
                  f"({min(found) / 1e9:.2f} - {max(found) / 1e9:.2f})")
    best, block, depth = rates.best_direct()
    print(json.dumps({"direct": best, "block": block, "depth": depth,
                      "buffered": rates.median_buffered()}))


if __name__ == "__main__":
    main()
