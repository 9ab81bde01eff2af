"""What CPU rows and CPU attention have for each stream that they serve. Any thread."""
from __future__ import annotations

import threading
import types

import torch

from spillway.row_worker import Channel, RowWorker

MOST_LANES = 8  # streams that the CPU serves


class Lane:
    """What one stream needs for its jobs: a channel, and its buffers as tensors of the
    device. `lock`: from one job's start to its end in the stream."""

    def __init__(self, worker: RowWorker, device, x_floats: int, y_floats: int):
        self.lock = threading.Lock()
        self.channel = Channel(worker, x_floats, y_floats)
        self.x_floats = _floats(device, self.channel.x, x_floats)
        self.y_floats = _floats(device, self.channel.y, y_floats)


class Lanes:
    """`make()` gives a Lane."""

    def __init__(self, device, make):
        self._device = device
        self._make = make
        self._lanes = {}  # by stream
        self._lock = threading.Lock()

    def here(self) -> Lane | None:
        """Of the current stream; None: it cannot be served, as too many others are."""
        stream = self._device.stream()
        lane = self._lanes.get(stream)
        if lane is None:
            with self._lock:
                lane = self._lanes.get(stream)
                if lane is None and len(self._lanes) < MOST_LANES:
                    lane = self._lanes[stream] = self._make()
        return lane

    def close(self) -> None:
        """Nobody asks for one any more."""
        self._device.synchronize()
        for lane in self._lanes.values():
            lane.channel.close()
        self._lanes.clear()


def _floats(device, address: int, count: int) -> torch.Tensor:
    region = types.SimpleNamespace(address=address, size_bytes=4 * count)
    with torch.inference_mode(False):
        return device.tensor(types.SimpleNamespace(region=region), (count,), torch.float32)
