"""Keys or values of one layer of a KV cache. Guarded by the lock of KvTiers.

They lie token after token, [tokens, batch, heads, dim]: more follow without moving those that are
there, and a view of them has the same strides in every tier, so that kernels compute the same.
"""
from __future__ import annotations

import bisect

import torch

from spillway import library
from spillway.torch.device import Keeper
from spillway.torch.sizes import format_size

GROWTH_PART = 16  # memory that grows gets one part of so many more than it has to have
PIECE_BYTES = 16 << 20  # of host memory at most; blocks have two of them
TOKENS_TOGETHER = 64  # memory is for a multiple of so many


def grown(tokens: int) -> int:
    """Of memory for so many."""
    more = tokens + tokens // GROWTH_PART
    return -(-more // TOKENS_TOGETHER) * TOKENS_TOGETHER


def by_token(states: torch.Tensor) -> torch.Tensor:
    """[batch, heads, tokens, dim] as [tokens, batch, heads, dim], a view."""
    return states.permute(2, 0, 1, 3)


def by_batch(rows: torch.Tensor) -> torch.Tensor:
    """The other way."""
    return rows.permute(1, 2, 0, 3)


def piece_tokens(token_bytes: int) -> int:
    """Of a piece: a power of two. Blocks that are made at once begin at multiples of it."""
    return 1 << max(1, PIECE_BYTES // token_bytes).bit_length() - 1


class _Block:
    """Host memory for the tokens from `first` on."""

    def __init__(self, first: int, rows: torch.Tensor):
        self.first = first
        self.rows = rows  # [tokens, batch, heads, dim]; keeps its region

    @property
    def end(self) -> int:
        return self.first + len(self.rows)


class KvTensor:
    """In HBM (`buffer`), in the host (`blocks`), or a tensor that somebody set and that has not
    been taken in (`given`, [batch, heads, tokens, dim]). `shape`: of a token."""

    def __init__(self, tiers, given: torch.Tensor):
        self._tiers = tiers
        self._device = tiers.device
        self.given = given
        self._buffer = self._states = None
        self.blocks: list[_Block] = []
        self.shape = self.dtype = None
        self._length = 0
        self._written = self._device.new_mark()  # what is copied down is there
        self._stored = self._device.new_mark()  # and has come down
        self._fetched = self._device.new_mark()  # the blocks have been read

    # -- What it is

    @property
    def length(self) -> int:
        """In tokens."""
        if self.given is None:
            return self._length
        return self.given.shape[-2] if self.given.numel() else 0

    @property
    def buffer(self) -> torch.Tensor | None:
        """[tokens, batch, heads, dim] in HBM, with room for more."""
        return self._buffer

    @buffer.setter
    def buffer(self, rows: torch.Tensor | None) -> None:
        self._buffer = rows
        with torch.inference_mode(False):  # else it could be written in inference mode only
            self._states = None if rows is None else by_batch(rows)

    @property
    def token_bytes(self) -> int:
        return self.shape.numel() * self.dtype.itemsize if self.shape is not None else 0

    @property
    def in_host(self) -> bool:
        return self.given is None and self.buffer is None

    def growth_bytes(self, tokens: int) -> int:
        """Of HBM that reserve() would take."""
        return 0 if self.has_room(tokens) else grown(tokens) * self.token_bytes

    def has_room(self, tokens: int) -> bool:
        """In HBM there is memory for so many."""
        return self._buffer is not None and self._buffer.shape[0] >= tokens

    @property
    def hbm_bytes(self) -> int:
        tensor = self.buffer if self.given is None else self.given
        return tensor.numel() * tensor.element_size() if tensor is not None else 0

    @property
    def host_bytes(self) -> int:
        return self.blocks[-1].end * self.token_bytes if self.blocks else 0

    def fits(self, states: torch.Tensor) -> bool:
        """They can follow what is there."""
        if self.length == 0:
            return True
        (batch, heads, _, dim), given = states.shape, self.given
        if given is None:
            return states.dtype is self.dtype and self.shape == (batch, heads, dim)
        return given.dim() == 4 and given.dtype == states.dtype and given.device == states.device \
            and given.shape[:2] == (batch, heads) and given.shape[3] == dim

    def tensor(self) -> torch.Tensor:
        """All of it on the device, [batch, heads, tokens, dim]; of the host's a copy."""
        if self.given is not None:
            return self.given
        if self.buffer is not None:
            return by_batch(self.buffer[:self._length])
        rows = self._device.empty((self._length, *self.shape), self.dtype)
        self._read(rows)
        return by_batch(rows)

    def _read(self, rows: torch.Tensor) -> None:
        """What is in the host, in the current stream."""
        self._device.wait(self._stored)
        for block, part in self._parts(0, self._length):
            rows[block.first:block.first + len(part)].copy_(part, non_blocking=True)
        self._device.mark(self._fetched)

    # -- Changes

    def give(self, tensor: torch.Tensor) -> None:
        """This is what it is from now on. The blocks stay, for what has the same shape."""
        self.given, self.buffer, self._length = tensor, None, 0

    def crop(self, length: int) -> None:
        """Only the first tokens stay. A buffer of which others have a view is theirs from now on:
        what follows would be written over what they see."""
        if self.given is not None:
            self.given = self.given[..., :length, :]
            return
        if self.buffer is not None and self._tiers.is_shared(self.buffer, views=1):
            self.buffer = self._copy(self.buffer[:length], grown(length))
        self._length = length

    def shape_as(self, states: torch.Tensor) -> None:
        """What is to come is like them; nothing is there yet."""
        self._set_shape(states)
        self.given = None

    def _set_shape(self, states: torch.Tensor) -> None:
        shape = torch.Size((states.shape[0], states.shape[1], states.shape[3]))
        if self.blocks and (shape != self.shape or states.dtype != self.dtype):
            self.blocks = []
        self.shape, self.dtype = shape, states.dtype

    def reserve(self, tokens: int) -> None:
        """HBM for so many."""
        if not self.has_room(tokens):
            there = None if self.buffer is None else self.buffer[:self._length]
            self.buffer = self._copy(there, grown(tokens))

    def _copy(self, rows: torch.Tensor | None, capacity: int) -> torch.Tensor:
        buffer = self._device.empty((capacity, *self.shape), self.dtype)
        self._device.keep(buffer)
        if rows is not None:
            buffer[:len(rows)].copy_(rows)
        return buffer

    def append(self, states: torch.Tensor, are_there: bool = False) -> torch.Tensor:
        """In HBM, where there is room for them; `are_there`: they have been copied. All of it. Of a
        view that is made once: each view takes half as long as a launch."""
        count = states.shape[-2]
        if not are_there:
            self._states.narrow(2, self._length, count).copy_(states)
        self._length += count
        return self._states.narrow(2, 0, self._length)

    # -- To the host and back

    def send_home(self) -> None:
        """From HBM into host memory, beside the computation; reserve_home() has made room."""
        if self.in_host:
            return
        rows = self.buffer[:self._length] if self.given is None else by_token(self.given)
        self.given, self.buffer, self._length = None, None, 0
        self.store(rows)
        self._device.used_in(rows, self._tiers.down)

    def bring_back(self) -> None:
        """From the host into HBM. The blocks stay for when it goes home again."""
        buffer = self._copy(None, grown(self._length))
        self._read(buffer)
        self.buffer = buffer

    def store(self, rows: torch.Tensor) -> None:
        """They follow what is in the host; the current stream has been given what writes them."""
        first, end = self._length, self._length + len(rows)
        self._device.mark(self._written)
        for block, part in self._parts(first, end):
            at = max(block.first, first) - first
            self._device.copy(part, rows[at:at + len(part)], (self._written, self._fetched),
                              self._stored, stream=self._tiers.down)
        self._length = end

    def fetch(self, rows: torch.Tensor, tokens: range, after, done) -> None:
        """These into [at least the length, batch, heads, dim] in HBM, beside the computation."""
        for block, part in self._parts(tokens.start, tokens.stop):
            at = max(block.first, tokens.start)
            self._device.copy(rows[at:at + len(part)], part, (*after, self._stored), done,
                              stream=self._tiers.up)
        self._device.mark_in(self._fetched, self._tiers.up)

    def in_home(self, tokens: int):
        """The first ones, block by block, as the CPU reads them."""
        return (part for _, part in self._parts(0, tokens))

    def arrives_home(self) -> None:
        """What the current stream is given from now on comes after what has been stored."""
        self._device.wait(self._stored)

    def was_read(self) -> None:
        """By what the current stream has been given by now, and by fetch()."""
        self._device.mark(self._fetched)

    def _region(self, size_bytes: int) -> library.HostRegion:
        try:
            return self._tiers.pool.host_region(size_bytes, "KV cache", library.KV)
        except library.BudgetError as error:
            if self._tiers.drop_spares() or self._tiers.drop_copies():
                return self._region(size_bytes)
            raise torch.OutOfMemoryError(f"the KV cache has no room in host memory for "
                                         f"{format_size(size_bytes)} more: {error}") from error

    def drop_spare(self) -> bool:
        """Whether there were blocks that hold nothing; they go."""
        spare = bool(self.blocks) and not self.in_host
        if spare:
            self.blocks = []
        return spare

    def hold(self, like: torch.Tensor, tokens: int) -> None:
        """So many tokens as `like` has them, [tokens, batch, heads, dim], are in the host: what
        their bytes are is the caller's business (pieces())."""
        self._set_shape(by_batch(like))
        self.given = self.buffer = None
        self.reserve_home(tokens)
        self._length = tokens

    def pieces(self):
        """(first token, rows) of piece_tokens() each but for the last, wherever they lie."""
        together = piece_tokens(self.token_bytes)
        for first in range(0, self.length, together):
            end = min(first + together, self.length)
            if self.given is not None:
                yield first, by_token(self.given)[first:end]
            elif self.buffer is not None:
                yield first, self.buffer[first:end]
            else:
                parts = [part for _, part in self._parts(first, end)]
                yield first, parts[0] if len(parts) == 1 else torch.cat(parts)

    def stored(self):
        """The mark after what store() copies."""
        return self._stored

    def _parts(self, first: int, end: int):
        """(block, its rows) that hold these tokens."""
        at = max(0, bisect.bisect_right(self.blocks, first, key=lambda block: block.first) - 1)
        for block in self.blocks[at:]:
            if block.first >= end:
                return
            yield block, block.rows[max(first - block.first, 0):end - block.first]

    def reserve_home(self, tokens: int) -> None:
        """Host memory for so many. OutOfMemoryError where it has no room."""
        if self.given is not None:
            self._set_shape(self.given)
        end = self.blocks[-1].end if self.blocks else 0
        while end < tokens:
            count = min(2 * piece_tokens(self.token_bytes), grown(max(tokens, end)) - end)
            region = self._region(count * self.token_bytes)
            keeper = Keeper(region, self._device.synchronize)
            with torch.inference_mode(False):
                rows = self._device.tensor(keeper, (count, *self.shape), self.dtype)
            self.blocks.append(_Block(end, rows))
            end += count
        self._tiers.keep_limit()
