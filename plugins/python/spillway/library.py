"""The memory core's C interface (include/spillway/spillway.h) through ctypes. Any thread."""
from __future__ import annotations

import ctypes
import os
from pathlib import Path

USAGE, BUDGET, MACHINE = 2, 4, 5
HOST = 2
WEIGHTS, KV = 1, 2  # what memory is for
ABI_VERSION = 1


class Error(RuntimeError):
    """What the memory core refused, in its words."""


class BudgetError(Error):
    """A budget is too small; the text says who holds what."""


class PoolOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("device", ctypes.c_int32), ("managed", ctypes.c_int32),
                ("hbm_budget_bytes", ctypes.c_uint64), ("host_budget_bytes", ctypes.c_uint64),
                ("kept_bytes", ctypes.c_uint64), ("simulated_bytes", ctypes.c_uint64)]


class PoolStatistics(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), *((name, ctypes.c_uint64) for name in (
        "hbm_bytes", "hbm_peak_bytes", "hbm_limit_bytes", "host_bytes", "host_peak_bytes",
        "host_limit_bytes", "extents_to_hbm", "extents_to_host", "bytes_to_hbm", "bytes_to_host",
        "evicted_extents", "handles_created", "handles_reused", "driver_calls"))]


class RegionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("size_bytes", ctypes.c_uint64),
                ("extent_bytes", ctypes.c_uint64), ("tag", ctypes.c_int32),
                ("eviction", ctypes.c_int32), ("name", ctypes.c_char_p),
                ("only", ctypes.c_int32), ("reserved", ctypes.c_int32)]


def _candidates():
    if path := os.environ.get("SPILLWAY_LIBRARY"):
        return [path]  # what was named and is not there is an error, not a reason to look elsewhere
    folder = Path(__file__).parent
    return [str(folder / "libspillway.so.1"), "libspillway.so.1"]


def _open():
    errors = []
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            errors.append(str(error))
    raise Error("libspillway.so.1 cannot be loaded (" + "; ".join(errors) +
                "): install the wheel, or set SPILLWAY_LIBRARY to the file")


class Library:
    """The loaded library; calls that fail raise Error."""

    def __init__(self):
        self._functions = _open()
        self._functions.spillway_last_error.restype = ctypes.c_char_p
        version = self._functions.spillway_abi_version()
        if version != ABI_VERSION:
            raise Error(f"libspillway.so.1 has version {version} of the interface, this package is "
                        f"for {ABI_VERSION}: install both from one release")

    def call(self, name: str, *arguments) -> None:
        self.check(getattr(self._functions, "spillway_" + name)(*arguments))

    def function(self, name: str, *types):
        """For what is called again and again: check() its result. Arguments of these types of
        ctypes may be given as plain numbers."""
        function = self._functions["spillway_" + name]  # one of its own, others' types stay
        function.argtypes = types
        return function

    def check(self, status: int) -> None:
        """Raises what a function's result says."""
        if status == 0:
            return
        text = self._functions.spillway_last_error().decode(errors="replace")
        raise (BudgetError if status == BUDGET else Error)(text)


class Pool:
    """A GPU's memory and the host's within budgets, in bytes; None: 0.9 of what is free.

    simulated_bytes: no GPU at all, but one of this size that the CPU simulates.
    """

    def __init__(self, library: Library, device: int = 0, hbm_budget: int | None = None,
                 host_budget: int | None = None, simulated_bytes: int = 0):
        self.library = library
        self._handle = ctypes.c_void_p()
        options = PoolOptions(ctypes.sizeof(PoolOptions), device, 0, hbm_budget or 0,
                              host_budget or 0, 0, simulated_bytes)
        library.call("pool_open", ctypes.byref(options), ctypes.byref(self._handle))

    def text(self, function: str) -> str:
        """What pool_explain or pool_report says."""
        length = ctypes.c_size_t()
        self.library.call(function, self._handle, None, 0, ctypes.byref(length))
        while True:
            buffer = ctypes.create_string_buffer(length.value + 1)
            self.library.call(function, self._handle, buffer, len(buffer), ctypes.byref(length))
            if length.value < len(buffer):  # other threads may have made it longer
                return buffer.value.decode(errors="replace")

    def host_region(self, size_bytes: int, name: str, tag: int = WEIGHTS) -> HostRegion:
        """Host memory that the GPU reaches, charged to the host budget. BudgetError."""
        return HostRegion(self, size_bytes, name, tag)

    def host_use(self) -> dict:
        """Of the host, in bytes; called often."""
        numbers = PoolStatistics(ctypes.sizeof(PoolStatistics))
        self.library.call("pool_read_statistics", self._handle, ctypes.byref(numbers))
        return {"used_bytes": numbers.host_bytes, "budget_bytes": numbers.host_limit_bytes,
                "peak_bytes": numbers.host_peak_bytes}


class HostRegion:
    """Memory of exact size in the host, ready for DMA, until close()."""

    def __init__(self, pool: Pool, size_bytes: int, name: str, tag: int = WEIGHTS):
        self._pool = pool
        self._handle = ctypes.c_void_p()
        self.size_bytes = size_bytes
        options = RegionOptions(ctypes.sizeof(RegionOptions), size_bytes, 0, tag, 0,
                                name.encode(), HOST, 0)
        call = pool.library.call
        call("region_create", pool._handle, ctypes.byref(options), ctypes.byref(self._handle))
        try:
            call("region_make_resident", self._handle, ctypes.c_uint64(0),
                 ctypes.c_uint64(size_bytes), HOST)
            data = ctypes.c_void_p()
            call("region_data", self._handle, ctypes.byref(data))
        except Error:
            self.close()
            raise
        self.address = data.value

    def close(self) -> None:
        """Nothing uses the memory any more."""
        if self._handle:
            handle, self._handle = self._handle, None
            self._pool.library.call("region_destroy", handle)
