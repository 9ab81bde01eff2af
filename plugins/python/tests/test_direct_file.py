"""Files past the page cache, and what is read of them; how much memory a machine has left."""
import gc
import os
import time
import weakref

import pytest
import torch
from huge_pages import wants_huge_pages
from models import MIB

from spillway.torch import checkpoint, direct_file, disk, host_memory, page_cache

safetensors = pytest.importorskip("safetensors.torch")


@pytest.mark.parametrize("use_cache", [False, True])
def test_reads_land_where_they_are_wanted(tmp_path, use_cache):
    path = tmp_path / "bytes"
    content = torch.randint(0, 256, (300_001,), dtype=torch.uint8)
    path.write_bytes(content.numpy().tobytes())
    reader, file = direct_file.Reader(3, 8192), direct_file.DirectFile(path, use_cache)
    for offset, size in ((0, 1), (4095, 2), (5000, 100_000), (8192, 8192), (299_999, 2)):
        memory = torch.zeros(size + 3 * 4096, dtype=torch.uint8)
        page = -memory.data_ptr() % 4096
        ticket = direct_file.Ticket()
        for start in (page + offset % 4096, page + (offset + 17) % 4096):  # straight, and not
            reader.start(file, offset, size, (memory.data_ptr() + start, memory), ticket)
            reader.wait(ticket)
            assert torch.equal(memory[start:start + size], content[offset:offset + size])
            memory.zero_()
    with pytest.raises(OSError, match="shorter"):
        reader.start(file, 299_999, 3, (memory.data_ptr() + start, memory), ticket)
        reader.wait(ticket)


def test_what_is_not_in_the_page_cache_stays_out_of_it(tmp_path):
    path = tmp_path / "bytes"
    content = torch.randint(0, 256, (8 * MIB,), dtype=torch.uint8)
    path.write_bytes(content.numpy().tobytes())
    cached = page_cache.opened(path)
    assert cached.holds(0, 8 * MIB)
    memory = torch.zeros(MIB + 4096, dtype=torch.uint8)
    start = -memory.data_ptr() % 4096
    target, wanted = memory[start:start + MIB], content[MIB:2 * MIB]
    assert cached.read(MIB, target.data_ptr(), MIB) and torch.equal(target, wanted)
    with open(path, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached.holds(0, 4096):
        pytest.skip("this file system keeps its pages")
    file = direct_file.DirectFile(path, use_cache=True)
    if not file.direct:
        pytest.skip("this file system has no O_DIRECT")
    target.zero_()
    assert file.read(MIB, target.data_ptr(), MIB) == MIB and torch.equal(target, wanted)
    assert not any(cached.holds(at, 4096) for at in range(0, 8 * MIB, 4096))


def test_slices_are_those_of_safetensors(tmp_path):
    path = tmp_path / "all.safetensors"
    tensors = {"a": torch.randn(5, 7), "b": torch.randn(3).bfloat16(), "none": torch.zeros(0, 4),
               "flags": torch.tensor([True, False, True]), "one": torch.tensor(4)}
    safetensors.save_file(tensors, path)
    open_ = checkpoint.opens(disk.Disk())(__import__("safetensors").safe_open)
    with open_(path, framework="pt") as opened:
        assert sorted(opened.keys()) == sorted(tensors)
        for name, wanted in tensors.items():
            part = opened.get_slice(name)
            assert isinstance(part, checkpoint.FileTensor)
            assert torch.equal(part[...], wanted) and part.get_shape() == list(wanted.shape)
        assert torch.equal(opened.get_slice("a")[1:3], tensors["a"][1:3])
        assert opened.get_slice("b").get_dtype() == "BF16"


def test_what_is_free_is_the_least_of_system_and_group(tmp_path):
    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    4096 kB\n")
    write("proc/self/cgroup", "5:memory:/a/b\n0::/c\n")
    assert host_memory.free_bytes(tmp_path) == 4 * MIB
    write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", str(3 * MIB))
    write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", str(MIB))
    assert host_memory.free_bytes(tmp_path) == 2 * MIB
    write("sys/fs/cgroup/c/memory.max", "max\n")
    write("sys/fs/cgroup/memory.max", str(MIB))
    write("sys/fs/cgroup/memory.current", "24")
    assert host_memory.free_bytes(tmp_path) == MIB - 24


class Failing(direct_file.DirectFile):
    """Fails at one offset, and is slow beyond it."""

    def __init__(self, path, at):
        super().__init__(path)
        self._at = at

    def read(self, offset, address, size_bytes):
        if offset == self._at:
            raise OSError(5, "Input/output error")
        if offset > self._at:
            time.sleep(0.2)
        return super().read(offset, address, size_bytes)


def test_a_failed_read_keeps_nothing_of_who_wanted_it(tmp_path):
    path, size = tmp_path / "bytes", 64 << 10
    path.write_bytes(bytes(size))
    reader, seen = direct_file.Reader(2, 8192), []

    class Model:
        pass

    def load():
        model = Model()
        seen.append(weakref.ref(model))
        entry = {"data_offsets": [0, size], "shape": [size], "dtype": "U8"}
        checkpoint.FileTensor(Failing(path, 8192), entry, 0, None, reader).read()

    with pytest.raises(OSError, match="Input/output"):
        load()
    reader.synchronize()
    end = time.monotonic() + 10  # threads that have just ended their last read
    while seen[0]() is not None and time.monotonic() < end:
        gc.collect()
    assert seen[0]() is None


def test_what_is_read_elsewhere_comes_by_way_of_huge_pages(tmp_path, monkeypatch):
    path, addresses = tmp_path / "bytes", []
    path.write_bytes(bytes(MIB))
    read = direct_file.DirectFile.read

    def seen(self, offset, address, size_bytes):
        addresses.append(wants_huge_pages(address))
        return read(self, offset, address, size_bytes)
    monkeypatch.setattr(direct_file.DirectFile, "read", seen)
    reader, memory = direct_file.Reader(1), torch.empty(MIB, dtype=torch.uint8)
    ticket = direct_file.Ticket()
    reader.start(direct_file.DirectFile(path), 100, MIB - 200, (memory.data_ptr(), memory), ticket)
    reader.wait(ticket)
    assert memory.data_ptr() % 4096 != 100 and all(addresses) and addresses
