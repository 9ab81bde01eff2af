"""Rows of matrix products, and attention over some of the tokens, that the CPU computes inside a
GPU's stream: the row workers of include/spillway/row_worker.h through ctypes. Any thread; a
channel: one at a time."""
from __future__ import annotations

import ctypes
import threading

from spillway.library import Pool

F32, F16, BF16 = 0, 1, 30


class _WorkerOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_uint32),
                ("reserved", ctypes.c_uint32)]


class _ChannelOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("x_floats", ctypes.c_uint64),
                ("y_floats", ctypes.c_uint64)]


class Statistics(ctypes.Structure):
    """Seconds since the worker was made: computing rows; waiting for a stream to come to a job, or
    while that waited for the link; without a job; attending. Bytes: of weights, of keys and
    values."""
    _fields_ = [("size", ctypes.c_size_t), ("busy_seconds", ctypes.c_double),
                ("x_seconds", ctypes.c_double), ("link_seconds", ctypes.c_double),
                ("idle_seconds", ctypes.c_double), ("jobs", ctypes.c_uint64),
                ("bytes", ctypes.c_uint64), ("threads", ctypes.c_uint32),
                ("reserved", ctypes.c_uint32), ("attention_seconds", ctypes.c_double),
                ("attention_jobs", ctypes.c_uint64), ("attention_bytes", ctypes.c_uint64)]


class Job(ctypes.Structure):
    """y[t, r] = sum over c of weight[r, c] * x[t, c]; the weight's bytes outlive it."""
    _fields_ = [("size", ctypes.c_size_t), ("weight", ctypes.c_void_p), ("rows", ctypes.c_uint64),
                ("columns", ctypes.c_uint64), ("tokens", ctypes.c_uint64),
                ("dtype", ctypes.c_int32), ("reserved", ctypes.c_int32)]

    def __init__(self, weight: int, shape: tuple[int, int], dtype: int, tokens: int):
        super().__init__(ctypes.sizeof(Job), weight, shape[0], shape[1], tokens, dtype, 0)


class _KvStretch(ctypes.Structure):
    _fields_ = [("keys", ctypes.c_void_p), ("values", ctypes.c_void_p),
                ("tokens", ctypes.c_uint64)]


class AttentionJob(ctypes.Structure):
    """Of one token with q [heads, dim] in x: y is softmax(scale * q K) V over the tokens of the
    `stretches`, (address of keys, of values, tokens), and behind it the logarithms of the sums of
    exp(scale * q K), [heads]. Keys and values are [tokens, kv_heads, dim]; they outlive the job."""
    _fields_ = [("size", ctypes.c_size_t), ("stretches", ctypes.POINTER(_KvStretch)),
                ("stretch_count", ctypes.c_uint64), ("heads", ctypes.c_uint64),
                ("kv_heads", ctypes.c_uint64), ("head_dim", ctypes.c_uint64),
                ("scale", ctypes.c_float), ("dtype", ctypes.c_int32), ("reserved", ctypes.c_uint64)]

    def __init__(self, stretches, heads: tuple[int, int, int], dtype: int, scale: float):
        """`heads`: of q, of keys and values, and their dimensions."""
        array = (_KvStretch * len(stretches))(*stretches)
        super().__init__(ctypes.sizeof(AttentionJob), array, len(stretches), *heads, scale, dtype)


_KINDS = {Job: "", AttentionJob: "_attention"}  # of functions for them


class RowWorker:
    """`threads` of the CPU; 0: one less than the process may use cores. close() ends them."""

    def __init__(self, pool: Pool, threads: int = 0):
        self._pool = pool  # outlives it
        self.library = pool.library
        self.call = pool.library.call
        # Jobs of two channels begin in a stream in the order in which the worker does them: else
        # the stream could wait for the second one while the worker waits for the first one's x.
        self.turn = threading.Lock()
        self._handle = ctypes.c_void_p()
        options = _WorkerOptions(ctypes.sizeof(_WorkerOptions), threads, 0)
        self.call("row_worker_create", pool._handle, ctypes.byref(options),
                  ctypes.byref(self._handle))

    def channel(self, x_floats: int, y_floats: int) -> Channel:
        return Channel(self, x_floats, y_floats)

    def statistics(self) -> Statistics:
        values = Statistics(ctypes.sizeof(Statistics))
        self.call("row_worker_read_statistics", self._handle, ctypes.byref(values))
        return values

    def close(self) -> None:
        """Its channels are closed."""
        if self._handle:
            handle, self._handle = self._handle, None
            self.call("row_worker_destroy", handle)


class Channel:
    """`x` and `y`: addresses of float32 buffers in host memory, the CPU's and the GPU's. A job is a
    Job or an AttentionJob."""

    def __init__(self, worker: RowWorker, x_floats: int, y_floats: int):
        self._call, self._check = worker.call, worker.library.check
        self._turn = worker.turn
        self._handle = ctypes.c_void_p()
        options = _ChannelOptions(ctypes.sizeof(_ChannelOptions), x_floats, y_floats)
        self._call("row_channel_create", worker._handle, ctypes.byref(options),
                   ctypes.byref(self._handle))
        x, y = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("row_channel_data", self._handle, ctypes.byref(x), ctypes.byref(y))
        self.x, self.y = x.value, y.value
        pointer, function = ctypes.c_void_p, worker.library.function
        self._start = {kind: function("row_channel_start" + name, pointer, pointer, pointer)
                       for kind, name in _KINDS.items()}
        self._join = function("row_channel_join", pointer, pointer)
        self._multiply = function("row_channel_multiply", *[pointer] * 5)
        self._mark_link = function("row_channel_mark_link", pointer, ctypes.c_int32, pointer)

    def start(self, job: Job | AttentionJob, stream: int | None) -> None:
        """The CPU computes y when the stream is here; what was put into it before writes x."""
        with self._turn:
            status = self._start[type(job)](self._handle, ctypes.addressof(job), stream)
        self._check(status)

    def join(self, stream: int | None) -> None:
        """The stream waits for y. Once after each start()."""
        self._check(self._join(self._handle, stream))

    def multiply(self, job: Job, x: int, y: int, stream: int | None) -> None:
        """Both at once, with x and y of the weight's dtype at these addresses of the GPU's memory.
        Error, and nothing was started, where the library was built without kernels."""
        with self._turn:
            status = self._multiply(self._handle, ctypes.addressof(job), x, y, stream)
        self._check(status)

    def mark_link(self, waits: bool, stream: int | None) -> None:
        """From here on the stream waits for the link, or no longer: for link_seconds."""
        self._check(self._mark_link(self._handle, waits, stream))

    def compute(self, job: Job | AttentionJob) -> None:
        """x is there, and y is on return."""
        self._call("row_channel_compute" + _KINDS[type(job)], self._handle, ctypes.byref(job))

    def close(self) -> None:
        """No stream has anything to do with it any more."""
        if self._handle:
            handle, self._handle = self._handle, None
            self._call("row_channel_destroy", handle)
