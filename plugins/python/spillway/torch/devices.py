"""What streaming needs of a device: memory of the host under an address of the device, copies
beside the computation, and marks in streams. Cuda is the real one; Cpu (stand_in.py) stands in
where there is no GPU, for tests and with the same ring. One thread a call."""
from __future__ import annotations

import ctypes

import torch

from spillway import library
from spillway.packed import MOST_EVENTS
from spillway.torch import compat
from spillway.torch.compat import address_of, flash_attention, raw_stream
from spillway.torch.device import PAGE_TABLE_SHARE, Device, Keeper
from spillway.torch.direct_file import Reader
from spillway.torch.joined_kernels import CudaKernels
from spillway.torch.staging import Staging
from spillway.torch.stand_in import Cpu

__all__ = ["Cpu", "Cuda"]


class _CudaBytes:
    """Bytes of the host as torch.as_tensor() takes them; the tensor keeps this object."""

    def __init__(self, keeper: Keeper):
        self._keeper = keeper
        self.__cuda_array_interface__ = {
            "shape": (keeper.region.size_bytes,), "typestr": "|u1", "strides": None, "version": 3,
            "data": (keeper.region.address, False)}


class Cuda(Device):
    """A CUDA device and a stream for copies to it."""

    uses_page_cache = True
    page_table_share = PAGE_TABLE_SHARE

    def __init__(self, index: int):
        self.device = torch.device("cuda", index)
        self._limit = self._total = torch.cuda.mem_get_info(self.device)[1]  # of torch's memory
        self.reader = Reader(threads=16, block_bytes=2 << 20)
        self._staging = Staging(self)
        # Of high priority: kernels that unpack get their place beside those of the computation.
        self._copies = torch.cuda.Stream(self.device, priority=-1)
        self._copies_raw = self._copies.cuda_stream
        self._has_kernels = True  # the library, as far as is known
        self._streams = {}  # that were current, by what the driver calls them
        self._departures = torch.cuda.Stream(self.device)
        self._has_flash = torch.cuda.get_device_capability(self.device)[0] >= 8

    def holds(self, tensor: torch.Tensor) -> bool:
        """The tensor is where it is to be, in HBM or at its home in the host."""
        return tensor.device == self.device

    def allocated_bytes(self) -> int:
        """Of tensors in HBM, the ring included."""
        return torch.cuda.memory_allocated(self.device)

    def limit_torch(self, most_bytes: int | None) -> None:
        """Of HBM, with what it caches; None: all. Any thread."""
        self._limit = self._total if most_bytes is None else min(most_bytes, self._total)
        torch.cuda.set_per_process_memory_fraction(self._limit / self._total, self.device)

    def keep_limit(self) -> None:
        """What torch has cached beyond it goes back."""
        if torch.cuda.memory_reserved(self.device) > self._limit and not self.capturing():
            torch.cuda.empty_cache()

    def keep(self, tensor: torch.Tensor) -> None:
        """The tensor is in HBM; torch counts it."""

    def tensor(self, keeper: Keeper, shape, dtype) -> torch.Tensor:
        """A tensor of this device whose bytes lie in the host."""
        with torch.cuda.device(self.device):
            flat = torch.as_tensor(_CudaBytes(keeper), device=self.device)
        return flat.view(dtype).view(shape)

    def place_file(self, streamer, tensor, name: str) -> torch.Tensor:
        """Straight into the home: pinned pages are written once, by the disk."""
        with torch.inference_mode(False), torch.no_grad():
            home = streamer.empty_home(tensor, name)
            with self.reader.turn:
                ticket = tensor.start(0, tensor.size_bytes, home)
            tensor.wait(ticket)
            return home

    def load_file(self, tensor) -> torch.Tensor:
        """By way of pinned memory, the reads ahead of the copies."""
        return self._staging.load(tensor)

    def write(self, target: torch.Tensor, source: torch.Tensor) -> None:
        """From the CPU into memory of the host, without the GPU."""
        flat = (ctypes.c_uint8 * target.nbytes).from_address(address_of(target))
        torch.frombuffer(flat, dtype=target.dtype).view(target.shape).copy_(source)

    def stream(self):
        """The current stream, as a key."""
        return raw_stream(self.device.index)

    def _current(self) -> torch.cuda.Stream:
        raw = raw_stream(self.device.index)
        stream = self._streams.get(raw)
        if stream is None:
            stream = self._streams[raw] = torch.cuda.current_stream(self.device)
        return stream

    def new_mark(self):
        return torch.cuda.Event()

    def new_stream(self):
        return torch.cuda.Stream(self.device)

    def copy(self, target: torch.Tensor, source: torch.Tensor, after, done, sample=None,
             stream=None) -> None:
        """Starts when the marks `after` have passed; `done` passes with the last byte.
        `stream`, of new_stream(): None is the one of weights."""
        stream = self._copies if stream is None else stream
        with torch.cuda.stream(stream):
            for mark in after:
                stream.wait_event(mark)
            if sample is not None:
                sample.start.record(stream)
            target.copy_(source, non_blocking=True)
            done.record(stream)
            if sample is not None:
                sample.end.record(stream)

    def mark_in(self, mark, stream) -> None:
        """As mark(), in another stream than the current one."""
        mark.record(stream)

    def stamp_in(self, stamp, stream, after=()) -> None:
        """As stamp(), in another stream, once the marks have passed."""
        for mark in after:
            stream.wait_event(mark)
        stamp.record(stream)

    def used_in(self, tensor: torch.Tensor, stream) -> None:
        """Its memory, once given back, is torch's again when the stream has done with it."""
        tensor.record_stream(stream)

    def unpack(self, target: torch.Tensor, packed, after, done, sample=None) -> None:
        """As copy(), of the first elements of a packed copy (packing.Copy)."""
        if sample is not None:
            for mark in after:
                self._copies.wait_event(mark)
            sample.start.record(self._copies)
            after = ()
        for mark in after[MOST_EVENTS:]:
            self._copies.wait_event(mark)
        if not done.cuda_event:
            done.record(self._copies)  # which makes it
        # What has never been recorded has no event, and nobody waits for it.
        events = [event for mark in after[:MOST_EVENTS] if (event := mark.cuda_event)]
        packed.start(target.numel(), address_of(target), self._copies_raw, events,
                     done.cuda_event)
        if sample is not None:
            sample.end.record(self._copies)

    def multiply_rows(self, channel, product, x: torch.Tensor) -> torch.Tensor:
        """In one call, by kernels of the library's, where there are any."""
        if not self._has_kernels or not x.is_contiguous():
            return super().multiply_rows(channel, product, x)
        y = torch.empty(product.y.shape, dtype=x.dtype, device=self.device)
        try:
            channel.multiply(product.job, address_of(x), address_of(y), self.stream())
        except library.Error:
            self._has_kernels = False
            return super().multiply_rows(channel, product, x)
        return y

    def joined_kernels(self, pool: library.Pool):
        return CudaKernels(pool, self)

    def send(self, target: torch.Tensor, source: torch.Tensor, after, done) -> None:
        """To the host, beside copy(); else as that."""
        with torch.cuda.stream(self._departures):
            self._departures.wait_event(after)
            target.copy_(source, non_blocking=True)
            done.record(self._departures)

    def new_stamp(self):
        """A mark that knows its time."""
        return torch.cuda.Event(enable_timing=True)

    def stamp(self, stamp) -> None:
        """Now, as the current stream sees it."""
        stamp.record(self._current())

    def seconds_between(self, start, end) -> float | None:
        """None until both have passed."""
        return start.elapsed_time(end) / 1e3 if start.query() and end.query() else None

    def wait(self, mark) -> None:
        """What the current stream is given from now on comes after the mark."""
        compat.event_wait(mark, self._current())

    def mark(self, mark) -> None:
        """The end of what the current stream has been given by now."""
        compat.event_record(mark, self._current())

    def passed(self, mark) -> bool:
        return compat.event_query(mark)

    def finish(self, mark) -> None:
        """This thread comes after the mark."""
        mark.synchronize()

    def start_rows(self, channel, job) -> None:
        """The CPU begins when the current stream is here (spillway/row_worker.py)."""
        channel.start(job, self.stream())

    def mark_link(self, channel, waits: bool) -> None:
        """The current stream waits for the link from here on, or no longer."""
        channel.mark_link(waits, self.stream())

    def join_rows(self, channel) -> None:
        """What the current stream is given from now on comes after the CPU's rows."""
        channel.join(self.stream())

    def attend(self, query, keys, values, scale):
        """Attention without a mask, and the logarithms of its sums, [batch, heads, tokens]."""
        if query.dtype != torch.float32 and self._has_flash:
            return flash_attention(query, keys, values, scale=scale)[:2]
        found, log = torch.ops.aten._scaled_dot_product_efficient_attention(
            query, keys, values, None, True, scale=scale)[:2]
        return found, log[..., :query.shape[-2]]  # the kernel pads it

    def synchronize(self) -> None:
        """All streams have done what they were given."""
        torch.cuda.synchronize(self.device)

    def capturing(self) -> bool:
        return torch.cuda.is_current_stream_capturing()
