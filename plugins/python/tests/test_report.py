"""report(): what lives where, by module, and what the ring measured."""
import gc
import html.parser
import json

import pytest
import torch

from models import MIB, WIDTH, homes, network
from spillway import library
from spillway.torch import inventory, measures, reporting
from spillway.torch.overview import WIDTH as COLUMNS


GROUP = "0-5.0-2(2)"  # six layers, the linear ones 0 and 2 of each


class Layers(torch.nn.Module):
    def __init__(self, count):
        super().__init__()
        self.layers = torch.nn.ModuleList(network(2) for _ in range(count))
        self.norm = torch.nn.LayerNorm(WIDTH)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


@pytest.fixture
def ran(stream, device):
    """A model that ran twelve passes and a bit, and its streamer; every copy was timed."""
    gc.collect()  # models of other tests
    streamer = stream(20 * MIB)
    streamer.work_bytes = 4 * MIB
    model = Layers(6).to(device)
    streamer.ring.times = measures.CopyTimes(streamer.device, every=1)
    with torch.no_grad():
        for _ in range(13):
            model(torch.randn(2, WIDTH, device=device)).sum().item()
    return model, streamer


def test_numbers_are_those_of_the_model_and_the_ring(ran):
    model, streamer = ran
    numbers = reporting.report(streamer, [model]).to_dict()
    names = [row["name"] for row in numbers["modules"]]
    assert names == [f"layers.{GROUP}.weight", f"layers.{GROUP}.bias", "norm.weight", "norm.bias"]
    size = WIDTH * WIDTH * 4
    streamed = sum(homes(model))
    assert sum(row["host_tensors"] for row in numbers["modules"]) == streamed > 0
    assert numbers["host"]["used_bytes"] == streamed * size
    total = sum(row["host_bytes"] + row["hbm_bytes"] for row in numbers["modules"])
    assert total == sum(p.numel() * 4 for p in model.parameters())
    hbm = numbers["hbm"]
    assert hbm["used_bytes"] == hbm["weights_bytes"] + hbm["ring_bytes"] + hbm["other_bytes"]
    assert hbm["budget_bytes"] == streamer.hbm_bytes + 4 * MIB
    assert hbm["ring_bytes"] == streamer.ring.size_bytes == 3 * size
    ring = numbers["ring"]
    assert ring["hits"] + ring["misses"] == 13 * streamed and ring["timed"] > 0
    assert numbers["pass"]["count"] == 12
    assert numbers["pass"]["streamed_bytes"] == streamed * size
    rate = numbers["link"]["bytes_per_second"]
    assert 1e6 < rate < 1e12
    assert numbers["pass"]["predicted_seconds"] == streamed * size / rate
    assert 0 < numbers["pass"]["measured_seconds"] < 60
    json.dumps(numbers)


def test_the_text_has_a_frame_and_names(ran):
    model, streamer = ran
    text = str(reporting.report(streamer, [model]))
    assert {len(line) for line in text.splitlines()} == {COLUMNS}
    for part in (f"layers.{GROUP}.weight", "HBM", "GB/s", "came ahead of use", "measured"):
        assert part in text


def test_the_html_is_well_formed(ran):
    model, streamer = ran
    open_tags = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    text = reporting.report(streamer, [model])._repr_html_()
    Parser().feed(text)
    assert not open_tags and f"layers.{GROUP}.weight" in text


def test_models_are_found(ran):
    model, streamer = ran
    found = [root for root in inventory.alive_roots() if root is model]
    assert found == [model]
    assert not [root for root in inventory.alive_roots() if root is model.layers]
    rows = reporting.report(streamer).to_dict()["modules"]
    assert any(f"layers.{GROUP}.weight" in row["name"] for row in rows)


def test_before_anything_is_placed(stream):
    streamer = stream(20 * MIB)
    overview = reporting.report(streamer, [])
    assert {len(line) for line in str(overview).splitlines()} == {COLUMNS}
    numbers = overview.to_dict()
    assert numbers["ring"] is None and numbers["link"]["bytes_per_second"] is None
    assert numbers["pass"]["measured_seconds"] is None


def test_rows_of_layers_and_experts():
    names = [f"model.layers.{layer}.experts.{expert}.up.weight"
             for layer in (0, 1, 2, 5) for expert in range(4)]
    rows = inventory.rows([(name, i % 2 == 0, 10) for i, name in enumerate(names)])
    assert rows == [{"name": "model.layers.0-5(4).experts.0-3.up.weight", "hbm_tensors": 8,
                     "hbm_bytes": 80, "host_tensors": 8, "host_bytes": 80}]
    two = inventory.rows([("a.1.weight", True, 3), ("b.weight", False, 4)])
    assert [row["name"] for row in two] == ["a.1.weight", "b.weight"]


class Timeline:
    """A device whose marks are times that a test sets."""

    def __init__(self):
        self.now = 0.0

    def new_stamp(self):
        return [None]

    def stamp(self, stamp):
        stamp[0] = self.now

    def seconds_between(self, start, end):
        return None if start[0] is None or end[0] is None else end[0] - start[0]


def test_copies_are_timed_and_stalls_are_waits_for_their_end():
    device = Timeline()
    times = measures.CopyTimes(device, every=2)
    assert times.begin(100) is None
    for waited in (2.0, -1.0):
        sample = times.begin(100)
        sample.start[0], sample.end[0] = 10.0, 14.0
        device.now = 14.0 - waited
        times.use(sample)
        times.use(sample)  # a second user of the slot
        assert times.begin(1) is None
    times.collect()
    assert times.bytes_per_second() == 25 and times.used == 2
    assert times.stalls == 1 and times.stall_seconds == 2.0


def test_what_has_not_passed_is_waited_for():
    times = measures.CopyTimes(Timeline(), every=1)
    sample = times.begin(5)
    times.use(sample)
    times.collect()
    assert times.used == 0
    sample.start[0], sample.end[0] = 0.0, 1.0
    times.collect()
    assert times.used == 1


def test_a_pass_ends_where_a_weight_comes_again():
    now = [0.0]
    passes = measures.Passes(clock=lambda: now[0])
    encoder, first, second = object(), object(), object()
    copied = 0
    passes.note(encoder, copied, 2 * copied)
    for _ in range(4):
        for weight in (first, second):
            now[0] += 1
            copied += 10
            passes.note(weight, copied, 2 * copied)
    assert passes.count == 3 and passes.seconds() == 2 and passes.streamed_bytes() == 20
    assert passes.plain_bytes() == 40


def test_a_text_that_gets_longer_while_it_is_asked_for_comes_whole():
    class Growing:
        lengths = iter((3, 300, 5))

        def call(self, _function, _handle, buffer, capacity, length):
            text = b"x" * next(self.lengths)
            if buffer is not None:
                buffer.value = text[:capacity - 1]
            length._obj.value = len(text)

    pool = library.Pool.__new__(library.Pool)
    pool.library, pool._handle = Growing(), None
    assert pool.text("pool_report") == "xxxxx"
