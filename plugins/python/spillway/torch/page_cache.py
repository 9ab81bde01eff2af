"""What of a file lies in the page cache, and reads of it from there. Thread-safe.

A read with RWF_NOWAIT fails where a page is missing, but lets the system read ahead first: asked of
every block, it reads a whole file once more than is needed. mincore() only looks.
"""
from __future__ import annotations

import ctypes
import os
import weakref

_PAGE = os.sysconf("SC_PAGESIZE")
_PROT_READ, _MAP_SHARED, _FAILED = 1, 1, ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                       ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


class CachedFile:
    """Open until nobody refers to it."""

    def __init__(self, path: str):
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self.size_bytes = os.fstat(self._descriptor).st_size
        self._start = _libc.mmap(None, max(1, self.size_bytes), _PROT_READ, _MAP_SHARED,
                                 self._descriptor, 0)
        if self._start == _FAILED:
            raise OSError(ctypes.get_errno(), "mmap", path)
        weakref.finalize(self, _libc.munmap, self._start, max(1, self.size_bytes))

    def holds(self, offset: int, size_bytes: int) -> bool:
        """Every page of the range, which begins at one, is in the cache now."""
        if size_bytes <= 0 or offset + size_bytes > self.size_bytes:
            return False
        found = ctypes.create_string_buffer(-(-size_bytes // _PAGE))
        if _libc.mincore(self._start + offset, size_bytes, found):
            return False
        return all(page & 1 for page in found.raw)

    def read(self, offset: int, address: int, size_bytes: int) -> bool:
        """All of it to the address, and without the disk; or False."""
        if not self.holds(offset, size_bytes):
            return False
        target = (ctypes.c_char * size_bytes).from_address(address)
        try:
            return os.preadv(self._descriptor, [target], offset, os.RWF_NOWAIT) == size_bytes
        except OSError:  # it has just left
            return False


def opened(path: str) -> CachedFile | None:
    """None where the system does not say what is in the cache: of a file that we neither own nor
    may write it claims that all of it is."""
    if os.stat(path).st_uid != os.geteuid() and not os.access(path, os.W_OK):
        return None
    try:
        return CachedFile(path)
    except OSError:
        return None
