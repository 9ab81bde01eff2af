"""Packed copies of weights whose home is the host: fewer bytes over the link, the same weights.
Made by threads in the background of weights that are used and not trained, as far as the host
budget goes; the homes stay what they are. docs/decisions/packing.md. Any thread.
"""
from __future__ import annotations

import os
import threading
import weakref
from collections import deque

import torch

from spillway import library
from spillway.packed import Packed, Unpacker, pack
from spillway.torch import compat
from spillway.torch.sizes import format_size
from spillway.torch.weight import Weight

IN_PLACE, STAGED = "in place", "staged"
WAYS = (STAGED, IN_PLACE)  # the first is what "on" means: measured faster
# Of HBM, from `work`: a weight comes in pieces of half of it, with six calls of the driver each.
STAGING_BYTES = 64 << 20
BLOCKS = {IN_PLACE: 8, STAGED: 16}  # of a kernel: enough for a link, few of a GPU's
# In a product. Kernels that unpack wait for a place beside those that multiply so many, and the
# link for them: 4,096 took 246 ms where copies of weights as they are take 207 (13B, H100).
MOST_TOKENS = 2048
MOST_THREADS = 4  # that pack: they take bandwidth of DRAM from what runs
LEAST_BYTES = 1 << 20  # of a weight
KEPT_BYTES = 64 << 20  # of the host budget: what the CPU rows of a stream take, say
EXPECTED_RATIO = 0.71  # of a weight's bytes; 0.70 of normally distributed ones
FIRST_PAUSE = 512  # uses, where the host budget was full
NEVER = 1 << 62
HOLDERS = 3  # of a home's storage: the parameter, its Weight's home and alias


class Copy:
    """What a weight was when it had this version. Goes with the object."""

    def __init__(self, packed: Packed, version: int, packing: Packing):
        self.version = version
        self.size_bytes = packed.size_bytes
        self.prefix_bytes = packed.prefix_bytes
        self.read = packed.read
        self._packed = packed
        self._unpacker = packing.unpacker
        self._device = packing.device
        self._process = os.getpid()

    def start(self, elements: int, address: int, stream: int, after=(), done=None) -> None:
        """On a GPU: packed.Unpacker.start()."""
        self._unpacker.start(self._packed, elements, address, stream, after, done)

    def __del__(self):
        if os.getpid() != self._process:
            return
        try:
            self._device.synchronize()  # something may still read it
            self._packed.close()
        except Exception:  # at the end of the process torch or the library may be gone already
            pass


class Packing:
    """`way`: how packed copies come to the GPU. `threads`: 0: one for four cores, 4 at most.
    library.Error where this library or GPU cannot unpack."""

    def __init__(self, pool: library.Pool, device, way: str = STAGED, threads: int = 0,
                 blocks: int | None = None):
        self.device = device
        self.way = way
        self.unpacker = None  # the CPU that stands in for a GPU needs none
        self._pool = pool
        self._threads = threads or min(MOST_THREADS, max(1, (os.cpu_count() or 1) // 4))
        self._lock = threading.Lock()
        self._queue = deque()  # of weights (weak), their versions, and marks after what wrote them
        self._running = 0
        self._workers = []
        self._closed = False
        self._pause = 0  # uses until the host budget may have room again
        self._next_pause = FIRST_PAUSE
        self._weights = weakref.WeakSet()  # that have a copy
        self._staging = None
        self.staging_bytes = 0  # of HBM
        self.limit = None  # that follows what the pool holds (segments.Limit)
        if device.device.type == "cuda":
            self._open(BLOCKS[way] if blocks is None else blocks)

    def _open(self, blocks: int) -> None:
        staging = None
        if self.way == STAGED:
            self._staging = self.device.ring_memory(STAGING_BYTES)
            self.staging_bytes = STAGING_BYTES
            staging = compat.address_of(self._staging), STAGING_BYTES
        self.unpacker = Unpacker(self._pool, staging, blocks)
        self._try()

    def _try(self) -> None:
        """A library that was built without CUDA has no kernels."""
        source = torch.zeros(1 << 16, dtype=torch.bfloat16)
        target = torch.ones_like(source, device=self.device.device)
        copy = Copy(pack(self._pool, compat.address_of(source), len(source), "trial"), 0, self)
        copy.start(len(source), compat.address_of(target), self.device.stream())
        self.device.synchronize()
        if target.any():
            raise library.Error("a trial of packed weights came back wrong")

    # -- Asking for copies

    def note(self, weight: Weight) -> None:
        """The weight is used, and not trained. From its second use on it is packed."""
        copy = weight.packed
        if copy is not None and copy.version == weight.version:
            return
        weight.uses_until_packing -= 1
        if weight.uses_until_packing >= 0 or not self._may_pack(weight):
            return
        weight.patience *= 2  # what is written again and again is not worth it
        weight.uses_until_packing = weight.patience
        mark = self.device.new_mark()
        version = weight.version
        self.device.mark(mark)  # the current stream may still write it
        with self._lock:
            self._queue.append((weakref.ref(weight), version, mark))
            if self._running < self._threads and not self._closed:
                self._running += 1
                worker = threading.Thread(target=self._work, name="spillway packing")
                self._workers = [one for one in self._workers if one.is_alive()] + [worker]
                worker.start()

    def _may_pack(self, weight: Weight) -> bool:
        if not packs(weight):
            weight.uses_until_packing = NEVER
            return False
        if self._pause > 0:
            self._pause -= 1
            weight.uses_until_packing = 0
            return False
        return True

    # -- Making them

    def _work(self) -> None:
        """Of a thread that ends when there is nothing to do. At the end of the program it ends with
        what it has in hand."""
        while True:
            with self._lock:
                if not self._queue or self._closed or not threading.main_thread().is_alive():
                    self._running -= 1
                    self._queue.clear()
                    return
                reference, version, mark = self._queue.popleft()
            weight = reference()
            if weight is None:
                continue
            self.device.finish(mark)
            try:
                self._pack(weight, version)
            except library.Error:  # the budget, or memory, has an end
                self._rest()
            del weight

    def _pack(self, weight: Weight, version: int) -> None:
        weight.packed = None  # its memory may be what the new one needs
        if not self._is_settled(weight, version):
            return
        if self._room() < EXPECTED_RATIO * weight.size_bytes:
            self._rest()
            return
        home = weight.home
        packed = pack(self._pool, compat.address_of(home), home.numel(), "packed weight")
        if packed is None:
            weight.uses_until_packing = NEVER
            return
        copy = Copy(packed, version, self)
        if self.limit is not None:
            self.limit.follow()
        if self._is_settled(weight, version) and not self._closed:
            self._weights.add(weight)
            weight.packed = copy

    def _is_settled(self, weight: Weight, version: int) -> bool:
        """Nobody has written it since, nor has a view that could write it without being counted."""
        holders = compat.storage_holders(weight.home)
        return weight.version == version and holders is not None and holders <= HOLDERS

    # -- Memory

    def _room(self) -> int:
        """Bytes of the host budget for more copies."""
        host = self._pool.host_use()
        return host["budget_bytes"] - host["used_bytes"] - KEPT_BYTES

    def _rest(self) -> None:
        with self._lock:
            self._queue.clear()
            self._pause = self._next_pause
            self._next_pause *= 2

    def release(self) -> bool:
        """All copies go: the memory is wanted for something else. Whether there were any."""
        self._rest()
        self.wait()  # or what is in hand would take what goes back
        weights = [weight for weight in list(self._weights) if weight.packed is not None]
        for weight in weights:
            weight.packed = None
        self._weights.clear()
        return bool(weights)

    def close(self) -> None:
        """No ring uses copies any more."""
        self._closed = True
        self.wait()
        self.release()
        if self.unpacker is not None:
            self.unpacker.close()

    def wait(self) -> None:
        """Until what was asked for is done."""
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            worker.join()

    # -- What there is

    def numbers(self) -> dict:
        """Of the weights that have a copy: how many, their bytes, and those of the copies."""
        packed = [(weight.size_bytes, copy.size_bytes) for weight in list(self._weights)
                  if (copy := weight.packed) is not None and copy.version == weight.version]
        return {"way": self.way, "weights": len(packed),
                "plain_bytes": sum(plain for plain, _ in packed),
                "packed_bytes": sum(size for _, size in packed)}

    def expected_bytes(self, weights) -> int:
        """Of these, over the link in a pass once copies are made."""
        weights = list(weights)
        room = self._room() + self.numbers()["packed_bytes"]
        return expected_bytes(sum(weight.size_bytes for weight in weights),
                              sum(weight.size_bytes for weight in weights if packs(weight)), room)

    def report(self) -> str:
        """For people."""
        numbers = self.numbers()
        plain, packed = numbers["plain_bytes"], numbers["packed_bytes"]
        if not plain:
            return "packed weights: none yet"
        return (f"packed weights: {numbers['weights']} of those that stream, {format_size(plain)} "
                f"as {format_size(packed)} ({packed / plain:.2f}), {self.way}; they are part of "
                f"what the host holds")


def packs(weight: Weight) -> bool:
    """It is of a kind that gets smaller."""
    return weight.home.dtype == torch.bfloat16 and weight.size_bytes >= LEAST_BYTES


def expected_bytes(streamed_bytes: int, packable_bytes: int, host_bytes: int | None) -> int:
    """Over the link in a pass, where host_bytes are free for packed copies (None: enough)."""
    packed = packable_bytes if host_bytes is None else min(
        packable_bytes, max(0, host_bytes) / EXPECTED_RATIO)
    return round(streamed_bytes - packed * (1 - EXPECTED_RATIO))
