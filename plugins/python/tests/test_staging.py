"""Files to HBM by way of pinned pieces: with the CPU for the GPU, pieces, their order and their
places are the same."""
import contextlib
import gc
import os

import pytest
import torch
from huge_pages import wants_huge_pages
from models import MIB
from test_direct_file import Failing

from spillway.torch import checkpoint, direct_file, disk, host_memory, staging

PAGE = direct_file.PAGE
PIECE_BYTES = 2 * PAGE


class Event:
    def __init__(self):
        self.copying, self.records = False, 0

    def synchronize(self):
        self.copying = False

    def record(self, stream):
        self.copying, self.records = True, self.records + 1


class Pieces:
    """What stands in for the GPU, and watches over the pieces."""

    def __init__(self, monkeypatch, count):
        self.events, self.memory, self.starts = [], [], 0
        self.device = disk.Disk(direct_file.Reader(3, PAGE))
        monkeypatch.setattr(torch.cuda, "Event", self.event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
        monkeypatch.setattr(staging, "PIECE_BYTES", PIECE_BYTES)
        monkeypatch.setattr(staging, "PIECES", count)
        monkeypatch.setattr(staging, "_pinned", self.pinned)
        start = checkpoint.FileTensor.start

        def checked(tensor, begin, size_bytes, target):
            self.starts += 1
            assert not self.of(target).copying, "a piece is read into while it is copied"
            assert target.data_ptr() % PAGE == (tensor.offset + begin) % PAGE, "not straight"
            return start(tensor, begin, size_bytes, target)
        monkeypatch.setattr(checkpoint.FileTensor, "start", checked)

    def event(self):
        self.events.append(Event())
        return self.events[-1]

    def pinned(self, size_bytes, device):
        self.memory.append(host_memory.huge_pages(size_bytes))
        return self.memory[-1]

    def of(self, target):
        """The event of the piece that the target lies in."""
        for memory, event in zip(self.memory, self.events, strict=True):
            if 0 <= target.data_ptr() - memory.data_ptr() <= memory.numel() - target.numel():
                return event
        raise AssertionError("the target lies in no piece")

    def load(self, file, offset, size):
        entry = {"data_offsets": [offset, offset + size], "shape": [size], "dtype": "U8"}
        tensor = checkpoint.FileTensor(file, entry, 0, None, self.device.reader)
        return staging.Staging(self.device).load(tensor)

    def is_idle(self):
        return self.device.reader.pending() == 0 and not any(e.copying for e in self.events)


@pytest.fixture
def content(tmp_path):
    """(path, bytes)."""
    found = torch.randint(0, 256, (120_000,), dtype=torch.uint8)
    (tmp_path / "bytes").write_bytes(found.numpy().tobytes())
    return tmp_path / "bytes", found


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 5000, PIECE_BYTES, 100_000])
def test_every_byte_comes(monkeypatch, content, size, count):
    pieces = Pieces(monkeypatch, count)
    path, wanted = content
    for offset in (0, 77, PAGE, 3 * PAGE - 1):
        found = pieces.load(direct_file.DirectFile(path), offset, size)
        assert torch.equal(found, wanted[offset:offset + size]) and pieces.is_idle()
    assert sum(event.records for event in pieces.events) == pieces.starts
    assert (pieces.starts > 0) == (size > 0)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("piece", [0, 1, 4])
def test_after_an_error_nothing_is_under_way(monkeypatch, content, piece, count):
    pieces = Pieces(monkeypatch, count)
    with pytest.raises(OSError, match="Input/output"):
        pieces.load(Failing(content[0], piece * PIECE_BYTES), 0, 100_000)
    assert pieces.is_idle()


class Driver:
    """Of torch.cuda.cudart()."""

    class cudaError:
        success = 0

    def __init__(self, monkeypatch, result=0):
        self.result, self.registered = result, {}
        monkeypatch.setattr(torch.cuda, "cudart", lambda: self)
        monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "CudaError", lambda code: f"error {code}")

    def cudaHostRegister(self, address, size_bytes, flags):
        if self.result == 0:
            self.registered[address] = size_bytes
        return self.result

    def cudaHostUnregister(self, address):
        assert wants_huge_pages(address), "it is gone already"
        del self.registered[address]


def test_pieces_are_pinned_as_long_as_they_are_there(monkeypatch):
    driver = Driver(monkeypatch)
    piece = staging._pinned(3 * MIB, torch.device("cpu"))
    assert driver.registered == {piece.data_ptr(): 3 * MIB}
    assert wants_huge_pages(piece.data_ptr())
    del piece
    gc.collect()
    assert not driver.registered


def test_a_forked_child_gives_nothing_back(monkeypatch):
    driver = Driver(monkeypatch)
    piece = staging._pinned(MIB, torch.device("cpu"))
    process = os.getpid()
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: process + 1)
        del piece
        gc.collect()
    assert driver.registered


def test_a_driver_that_does_not_pin_says_what_to_do(monkeypatch):
    Driver(monkeypatch, result=2)
    with pytest.raises(RuntimeError, match="does not pin 1.0 MiB .*: error 2; .*ulimit -l"):
        staging._pinned(MIB, torch.device("cpu"))


@pytest.mark.gpu
def test_a_gpus_pieces_are_pinned(device):
    assert staging._pinned(MIB, torch.device("cuda", 0)).is_pinned()
