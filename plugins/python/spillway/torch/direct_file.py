"""A file that is read past the page cache, and threads that read ahead from such files.

os.preadv gives up the interpreter's lock while the disk works: threads are as fast as io_uring here
(docs/decisions/disk-ring.md). Thread-safe.
"""
from __future__ import annotations

import ctypes
import os
import queue
import threading
import time

PAGE = 4096  # of O_DIRECT: offsets, sizes and addresses, safe everywhere
BLOCK_BYTES = 512 << 10  # of one read
THREADS = 4


class DirectFile:
    """Open for reading until nobody refers to it. OSError where it cannot be opened."""

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self.direct = True  # past the page cache
        flags = os.O_RDONLY | os.O_CLOEXEC
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


class Ticket:
    """Reads that belong together, and how they ended."""

    def __init__(self):
        self.pending = 0
        self.error: OSError | None = None


class Reader:
    """Reads from files by threads of its own, in the order in which they were asked for."""

    def __init__(self, threads: int = THREADS, block_bytes: int = BLOCK_BYTES):
        self.block_bytes = block_bytes
        self.bytes = 0  # read
        self.wait_seconds = 0.0  # in wait(), the reads not done yet
        self._count = threads
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._pending = 0
        self._process = None  # threads do not survive a fork

    def start(self, file: DirectFile, offset: int, size_bytes: int, target, ticket: Ticket) -> None:
        """Bytes of the file go to the address target[0], which lies in its page as `offset` does in
        the file's; the pages around them are read whole. target[1] is kept until they have come."""
        self._start_threads()
        address = target[0] - offset % PAGE
        first, end = offset - offset % PAGE, offset + size_bytes
        jobs = []
        for at in range(first, end, self.block_bytes):
            size = min(self.block_bytes, end + -end % PAGE - at)
            needed = min(size, end - at)
            jobs.append((file, at, address + at - first, size, needed, target[1], ticket))
        with self._changed:
            ticket.error = None
            ticket.pending += len(jobs)
            self._pending += len(jobs)
        for job in jobs:
            self._jobs.put(job)

    def wait(self, ticket: Ticket) -> None:
        """Until the ticket's reads are done. OSError where one of them failed."""
        if ticket.pending:
            started = time.perf_counter()
            with self._changed:
                self._changed.wait_for(lambda: ticket.pending == 0)
                self.wait_seconds += time.perf_counter() - started
        if ticket.error is not None:
            raise ticket.error

    def synchronize(self) -> None:
        """Until nothing is under way."""
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
        while True:
            file, at, address, size, needed, target, ticket = jobs.get()
            error = None
            try:
                got = file.read(at, address, size)
                if got < needed:
                    error = OSError(f"{file.path} has become shorter: {needed} bytes at {at} are "
                                    f"needed, {got} are there; restore it and load it again")
            except OSError as failed:
                error = OSError(failed.errno, f"reading {size} bytes at {at}: {failed.strerror}",
                                file.path)
            del target, file  # an idle thread keeps neither
            with self._changed:
                self.bytes += size
                ticket.error = ticket.error or error
                ticket.pending -= 1
                self._pending -= 1
                if ticket.pending == 0:
                    self._changed.notify_all()
