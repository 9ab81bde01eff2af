"""torch.OutOfMemoryError under streaming says who holds what of the HBM budget."""
import ctypes
import gc
import re

import pytest
import torch

from conftest import make_streamer
from models import MIB, homes, network
from spillway.torch import inventory, loading
from spillway.torch.sizes import parse_size

TORCH_SAYS = ("CUDA out of memory. Tried to allocate 96.00 MiB. GPU 0 has a total capacity of "
              "79.11 GiB of which 1.00 MiB is free.")


def said(text):
    try:
        raise torch.OutOfMemoryError(text)
    except RuntimeError as error:  # as programs catch it
        assert type(error) is torch.cuda.OutOfMemoryError
        return str(error)


def test_it_is_so_where_c_raises_it(stream):
    stream(14 * MIB)
    with pytest.raises(torch.OutOfMemoryError, match="weights hold"):
        ctypes.pythonapi.PyErr_SetString(ctypes.py_object(torch.OutOfMemoryError),
                                         TORCH_SAYS.encode())


def test_it_names_holders_and_what_would_fit(stream, device):
    gc.collect()
    streamer = stream(14 * MIB)
    streamer.work_bytes = 2 * MIB
    model = network(12).to(device)
    assert any(homes(model)) and not all(homes(model))
    text = said(TORCH_SAYS)
    assert text.startswith(TORCH_SAYS)
    for part in ("weights hold", "the ring 6.8 MiB", "others", "96.0 MiB were asked for"):
        assert part in text
    enough, work = (parse_size(size) for size in re.findall(r"='([^']+)'", text))
    assert streamer.allocated_bytes() + 96 * MIB <= enough < streamer.allocated_bytes() + 160 * MIB
    assert work >= 96 * MIB


@pytest.mark.parametrize("text", ["", "something else", "Tried to allocate much"])
def test_other_texts_stay_as_they_are(stream, text):
    stream(14 * MIB)
    assert said(text) == text
    assert not torch.OutOfMemoryError().args


def test_when_streaming_ends_torch_says_what_it_did(device):
    patches = loading.install(make_streamer(device, 14 * MIB, MIB))
    try:
        assert "spillway" in said(TORCH_SAYS)
    finally:
        patches.remove()
    assert said(TORCH_SAYS) == TORCH_SAYS


def test_what_the_message_cannot_find_out_hides_no_error(stream, monkeypatch):
    stream(14 * MIB)
    monkeypatch.setattr(inventory, "alive_roots", lambda: 1 / 0)
    assert said(TORCH_SAYS) == TORCH_SAYS
