"""A machine without a GPU: the CPU is the device, its budget of memory takes the place of HBM, and
the disk that of the host. Homes are ranges of files; the ring reads them ahead, past the page
cache. Thread-safe where torch is.
"""
from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
import weakref

import torch

from spillway.torch.compat import address_of
from spillway.torch.devices import Cpu
from spillway.torch.direct_file import PAGE, DirectFile, Reader, Ticket
from spillway.torch.host_memory import huge_pages
from spillway.torch.sizes import format_size

_WRITE_BYTES = 8 << 20


class FileRange:
    """Bytes of a file that have an address: a private mapping. Reading there is slow and right, and
    what is written there stays in memory. The ring never touches it."""

    def __init__(self, file: DirectFile, offset: int, size_bytes: int, temporary: bool):
        self.file, self.offset, self.size_bytes = file, offset, size_bytes
        self.temporary = temporary  # nobody else's: what is placed may be written to the file
        lead = offset % mmap.ALLOCATIONGRANULARITY
        self._memory = mmap.mmap(file.descriptor, lead + size_bytes, flags=mmap.MAP_PRIVATE,
                                 prot=mmap.PROT_READ | mmap.PROT_WRITE, offset=offset - lead)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) + lead

    def is_written(self) -> bool:
        """A page is no longer the file's: somebody wrote to it. True where nobody can say."""
        first = self.address // mmap.PAGESIZE
        count = (self.address + self.size_bytes - 1) // mmap.PAGESIZE - first + 1
        try:
            with open("/proc/self/pagemap", "rb", buffering=0) as pages:
                pages.seek(8 * first)
                found = pages.read(8 * count)
        except OSError:
            return True
        entries = torch.frombuffer(bytearray(found), dtype=torch.int64)
        present, swapped, of_file = (entries < 0, entries >> 62 & 1 == 1, entries >> 61 & 1 == 1)
        return len(found) < 8 * count or bool((swapped | present & ~of_file).any())

    def close(self) -> None:
        """Nothing uses the address any more."""
        self._memory = None


class DiskPool:
    """Where homes come from; stands where a GPU has library.Pool."""

    def __init__(self, folder: str | None = None):
        self.folder = folder or tempfile.gettempdir()
        self._ranges = weakref.WeakSet()
        self._peak_bytes = 0

    def host_region(self, size_bytes: int, name: str) -> FileRange:
        """In a file without a name. OSError where the disk is full."""
        writes, path = tempfile.mkstemp(prefix="spillway-", dir=self.folder)
        try:
            os.posix_fallocate(writes, 0, max(1, size_bytes))
            file = DirectFile(path)
        except OSError as error:
            os.close(writes)
            raise OSError(error.errno, f"{name} has no room, {format_size(size_bytes)}: "
                          f"{error.strerror}; TMPDIR names another folder", self.folder) from error
        finally:
            os.unlink(path)
        file.writes = writes
        weakref.finalize(file, os.close, writes).atexit = False
        return self._add(FileRange(file, 0, size_bytes, True))

    def file_region(self, tensor) -> FileRange:
        """Where the tensor (checkpoint.FileTensor) lies already."""
        return self._add(FileRange(tensor.file, tensor.offset, tensor.size_bytes, False))

    def _add(self, made: FileRange) -> FileRange:
        self._ranges.add(made)
        self._peak_bytes = max(self._peak_bytes, self.host_use()["used_bytes"])
        return made

    def host_use(self) -> dict:
        """As library.Pool.host_use(): the disk has the host's place there, and no budget."""
        return {"used_bytes": sum(self._sums().values()), "budget_bytes": None,
                "peak_bytes": self._peak_bytes}

    def _sums(self) -> dict[bool, int]:
        """Bytes, by whether they are in temporary files."""
        sums = {True: 0, False: 0}
        for one in list(self._ranges):
            sums[one.temporary] += one.size_bytes
        return sums

    def text(self, function: str) -> str:
        """As library.Pool.text(), of 'pool_explain'."""
        sums = self._sums()
        return (f"disk: {format_size(sums[False])} of weights in their checkpoint, "
                f"{format_size(sums[True])} in temporary files in {self.folder}")


class CoreForReaders:
    """torch computes with one thread less until remove(): its threads spin while they wait for each
    other, and on a machine with few cores nobody would read. OMP_NUM_THREADS is the user's word."""

    def __init__(self):
        self._before = torch.get_num_threads()
        if self._before > 1 and not os.environ.get("OMP_NUM_THREADS"):
            torch.set_num_threads(self._before - 1)

    def remove(self) -> None:
        torch.set_num_threads(self._before)


class Disk(Cpu):
    """The CPU, and threads that read for it. Marks are tickets of reads: what the CPU was told to
    compute is done when the call returns."""

    tiers = ("host", "disk")
    ring_slots = 8  # a disk wants more reads under way than a link
    alignment = PAGE  # O_DIRECT reads whole ones
    unpacks = False
    looks_up = False  # rows would come by way of the page cache, and stay there
    trains = False  # what is written stays in memory
    page_table_share = 0.0
    adapter_rank = 0  # small models have small matrices

    def __init__(self, reader: Reader | None = None):
        super().__init__()
        self.reader = reader or Reader()
        self._ranges = weakref.WeakValueDictionary()  # by address
        self._sources = {}  # by address: (weight, range, version as the file has it), weak

    def tensor(self, keeper, shape, dtype) -> torch.Tensor:
        self._ranges[keeper.region.address] = keeper.region
        return super().tensor(keeper, shape, dtype)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """To the file where it is ours, and out of the page cache."""
        kept = self._ranges.get(target.data_ptr())
        if kept is None or not kept.temporary:
            target.copy_(source)
            return
        flat = source.contiguous().view(-1).view(torch.uint8).numpy()
        writes = kept.file.writes
        for at in range(0, flat.size, _WRITE_BYTES):
            left = memoryview(flat[at:at + _WRITE_BYTES])
            while left:
                left = left[os.pwrite(writes, left, kept.offset + at + min(
                    _WRITE_BYTES, flat.size - at) - len(left)):]
            os.fdatasync(writes)  # dirty pages would stay, and count
            os.posix_fadvise(writes, kept.offset, 0, os.POSIX_FADV_DONTNEED)

    def place_file(self, streamer, tensor, name: str) -> torch.Tensor:
        """It stays where it is."""
        return streamer.home_over(streamer.pool.file_region(tensor), tensor)

    def adopted(self, weight, region) -> None:
        address = weight.home.data_ptr()
        if isinstance(region, FileRange) and not region.is_written():
            sources = self._sources
            sources[address] = (weakref.ref(weight), weakref.ref(region), weight.version)
            weakref.finalize(region, sources.pop, address, None).atexit = False
        else:
            self._sources.pop(address, None)

    def slot_bytes(self, size_bytes: int) -> int:
        """A page more: of the first and the last one in the file, others have their parts."""
        return super().slot_bytes(size_bytes) + PAGE

    def ring_memory(self, size_bytes: int) -> torch.Tensor:
        return huge_pages(size_bytes)

    def slot_lead(self, home: torch.Tensor) -> int:
        """A copy lies in its page where the home does in the file's: so O_DIRECT wants it."""
        return address_of(home) % PAGE

    def new_mark(self) -> Ticket:
        return Ticket()

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done: Ticket,
             sample=None) -> None:
        weight, region, version = self._sources.get(source.data_ptr(), (None, None, None))
        weight, region = weight and weight(), region and region()
        if weight is None or region is None or weight.version != version:
            done.error = None  # written since: memory has it, the file does not
            super().copy(target, source, after, done, sample)
            return
        if sample is not None:
            self.stamp(sample.start)
        done.sample = sample
        size = source.numel() * source.element_size()  # a part of the weight begins where it does
        self.reader.start(region.file, region.offset, size, (target.data_ptr(), target), done)

    def new_stamp(self):
        return [None]

    def seconds_between(self, start, end) -> float | None:
        return None if start[0] is None or end[0] is None else super().seconds_between(start, end)

    def wait(self, mark: Ticket) -> None:
        self.reader.wait(mark)

    def passed(self, mark: Ticket) -> bool:
        return mark.pending == 0

    def drop(self, ready: Ticket) -> None:
        """Several threads read at once: they have to be done with its place."""
        self.reader.finish(ready)

    def synchronize(self) -> None:
        self.reader.synchronize()
