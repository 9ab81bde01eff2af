"""A file that is read past the page cache, and threads that read ahead from such files.

os.preadv gives up the interpreter's lock while the disk works: threads are as fast as io_uring here
(docs/decisions/disk-ring.md). Thread-safe.
"""
from __future__ import annotations

import atexit
import ctypes
import os
import queue
import threading
import time
import weakref

from spillway.torch import page_cache
from spillway.torch.host_memory import huge_pages

PAGE = 4096  # of O_DIRECT: offsets, sizes and addresses, safe everywhere
BLOCK_BYTES = 2 << 20  # of one read: each takes the interpreter's lock from who computes
THREADS = 6


class DirectFile:
    """Open for reading until nobody refers to it. OSError where it cannot be opened."""

    def __init__(self, path: str | os.PathLike, use_cache: bool = False):
        """use_cache: what lies in the page cache already comes from there."""
        self.path = os.fspath(path)
        self.direct = True  # past the page cache
        flags = os.O_RDONLY | os.O_CLOEXEC
        self._cached = page_cache.opened(self.path) if use_cache else None
        try:
            self.descriptor = os.open(self.path, flags | getattr(os, "O_DIRECT", 0))
            os.preadv(self.descriptor, [memoryview(_page())], 0)
        except OSError:  # not every file system has it
            if hasattr(self, "descriptor"):
                os.close(self.descriptor)
            self.descriptor = os.open(self.path, flags)
            self.direct = False

    def __del__(self):
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def read(self, offset: int, address: int, size_bytes: int) -> int:
        """Whole pages into memory that begins at one; fewer bytes only where the file ends."""
        if self._cached is not None and self._cached.read(offset, address, size_bytes):
            return size_bytes
        done = 0
        while done < size_bytes:
            target = (ctypes.c_char * (size_bytes - done)).from_address(address + done)
            got = os.preadv(self.descriptor, [target], offset + done)
            done += got
            if got == 0 or got % PAGE:
                break
        if not self.direct:
            os.posix_fadvise(self.descriptor, offset, size_bytes, os.POSIX_FADV_DONTNEED)
        return done

    def forget(self) -> None:
        """Nothing of the file needs to stay in the page cache."""
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _page():
    memory = (ctypes.c_char * (2 * PAGE))()
    start = -ctypes.addressof(memory) % PAGE
    return memoryview(memory)[start:start + PAGE]


class _Piece:
    """Bytes of a file, within a block, and the address that they go to."""

    def __init__(self, file: DirectFile, offset: int, size_bytes: int, address: int):
        self.file, self.offset, self.size_bytes = file, offset, size_bytes
        self.address = address

    def read(self, block: list, block_bytes: int) -> None:
        lead = self.offset % PAGE
        straight = self.address % PAGE == lead
        if not straight and not block:
            block.append(huge_pages(block_bytes))
        begin = self.address - lead if straight else block[0].data_ptr()
        size = lead + self.size_bytes
        try:
            got = self.file.read(self.offset - lead, begin, size + -size % PAGE)
        except OSError as failed:
            raise OSError(failed.errno, f"reading {size} bytes at {self.offset - lead}: "
                          f"{failed.strerror}", self.file.path) from None
        if got < size:
            raise OSError(f"{self.file.path} has become shorter: {size} bytes at "
                          f"{self.offset - lead} are needed, {got} are there; restore it and load "
                          f"it again")
        if not straight:
            ctypes.memmove(self.address, begin + lead, self.size_bytes)


def _finish(reader: weakref.ref) -> None:
    if (alive := reader()) is not None:
        alive.synchronize()


class Ticket:
    """Reads that belong together, and how they ended."""

    def __init__(self):
        self.pending = 0
        self.error: OSError | None = None
        self.sample = None  # of these reads (measures.Sample), where they are timed


class Reader:
    """Reads from files by threads of its own, in the order in which they were asked for."""

    def __init__(self, threads: int = THREADS, block_bytes: int = BLOCK_BYTES):
        assert block_bytes % PAGE == 0
        self.block_bytes = block_bytes
        self.turn = threading.Lock()  # for who asks for much: disks are slower with several at once
        self.bytes = 0  # read
        self.wait_seconds = 0.0  # in wait(), the reads not done yet
        self._count = threads
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._pending = 0
        self._ended = 0.0  # the last ticket, by time.perf_counter()
        self._process = None  # threads do not survive a fork
        # At the very end the threads stand still, and who waited for them would wait for ever.
        atexit.register(_finish, weakref.ref(self))

    def start(self, file: DirectFile, offset: int, size_bytes: int, target, ticket: Ticket) -> None:
        """Bytes of the file go to the address target[0]. target[1] is kept until they have come.
        Where the address lies in its page as `offset` does in the file's, the pages around them are
        read whole, straight there; elsewhere they come by way of a thread's own block."""
        self._start_threads()
        first, end = offset - offset % PAGE, offset + size_bytes
        jobs = []
        for at in range(first, end, self.block_bytes):
            begin, until = max(at, offset), min(at + self.block_bytes, end)
            piece = _Piece(file, begin, until - begin, target[0] + begin - offset)
            jobs.append((piece, target[1], ticket))
        with self._changed:
            ticket.error = None
            ticket.pending += len(jobs)
            self._pending += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def wait(self, ticket: Ticket) -> None:
        """Until the ticket's reads are done. OSError where one of them failed."""
        self.finish(ticket)
        if ticket.error is not None:
            raise ticket.error

    def finish(self, ticket: Ticket) -> None:
        """Until the ticket's reads are done, well or not."""
        if ticket.pending:
            started = time.perf_counter()
            with self._changed:
                self._changed.wait_for(lambda: ticket.pending == 0)
                self.wait_seconds += time.perf_counter() - started

    def pending(self) -> int:
        """Reads that have not ended, of a block each at most."""
        return self._pending

    def synchronize(self) -> None:
        """Until nothing is under way."""
        if self._process not in (None, os.getpid()):
            return  # it was, in the parent
        with self._changed:
            self._changed.wait_for(lambda: self._pending == 0)

    def _start_threads(self) -> None:
        if self._process == os.getpid():
            return
        with self._changed:
            if self._process not in (None, os.getpid()):
                self._jobs, self._pending = queue.SimpleQueue(), 0
            if self._process != os.getpid():
                self._process = os.getpid()
                for _ in range(self._count):
                    threading.Thread(target=self._run, args=(self._jobs,), daemon=True,
                                     name="spillway-disk").start()

    def _run(self, jobs) -> None:
        block = []  # made when it is needed
        while True:
            piece, target, ticket = jobs.get()
            error, size = None, piece.size_bytes
            try:
                piece.read(block, self.block_bytes)
            except OSError as failed:
                error = failed
            del target, piece  # an idle thread keeps neither, nor its block
            if jobs.empty():
                block.clear()
            with self._changed:
                self.bytes += size
                ticket.error = ticket.error or error
                ticket.pending -= 1
                self._pending -= 1
                if ticket.pending == 0:
                    self._stamp(ticket.sample)
                    self._changed.notify_all()
            del ticket, error  # which, raised, keeps all that its frames do

    def _stamp(self, sample) -> None:
        """Several are read at once: each one's time begins when the one before has come, as it
        would on a link, so that the sum is the time of the disk."""
        now = time.perf_counter()
        if sample is not None:
            sample.start[0] = max(sample.start[0], self._ended)
            sample.end[0] = now
        self._ended = now
