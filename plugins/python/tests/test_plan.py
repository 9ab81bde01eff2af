"""plan(): before loading, without a GPU, and the same as loading then does."""
import json

import pytest
import torch

import spillway.torch
from models import MIB, WIDTH, homes, network
from spillway import library
from spillway.torch import inventory, planning
from spillway.torch.overview import WIDTH as COLUMNS

LAYER = WIDTH * WIDTH * 4


def rows_of(streamer, model):
    return inventory.rows(inventory.placed(streamer, [model]))


@pytest.fixture
def planned():
    """planned(what, mib, …): plan() of an HBM budget for weights and ring."""
    def make(what, mib, **options):
        return spillway.torch.plan(what, mib * MIB, work=0, link="10MB", **options).to_dict()
    return make


@pytest.mark.parametrize("mib", [8, 10, 13, 24, 64])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_it_is_what_to_does(stream, device, planned, mib, dtype):
    model = network(12)
    plan = planned(model, mib, dtype=dtype)
    streamer = stream(mib * MIB)
    before = streamer.allocated_bytes()
    model.to(device, dtype)
    assert plan["modules"] == rows_of(streamer, model)
    host = sum(row["host_bytes"] for row in plan["modules"])
    assert plan["pass"]["streamed_bytes"] == host == plan["host"]["used_bytes"]
    assert plan["pass"]["predicted_seconds"] == host / 10e6
    assert (plan["ring"] is None) == (streamer.ring is None)
    if streamer.ring:
        assert plan["hbm"]["ring_bytes"] == streamer.ring.size_bytes
    taken = streamer.allocated_bytes() - before
    # torch's allocator may leave up to a MiB behind a tensor uncut; the stand-in has none.
    uncut = MIB * len(list(model.parameters())) if device.type == "cuda" else 0
    assert 0 <= taken - plan["hbm"]["used_bytes"] <= uncut


@pytest.mark.parametrize("tied", [False, True])
def test_it_is_what_from_pretrained_does(stream, planned, tmp_path, tied):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=1024, hidden_size=512, intermediate_size=1536, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, tie_word_embeddings=tied)
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path)
    before = json.dumps(config.to_dict(), default=str)
    plans = [planned(what, 12, dtype=torch.bfloat16) for what in (config, tmp_path, str(tmp_path))]
    assert plans[0] == plans[1] == plans[2] and json.dumps(config.to_dict(), default=str) == before
    streamer = stream(12 * MIB)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert any(homes(model)) and not all(homes(model))
    assert plans[0]["modules"] == rows_of(streamer, model)
    assert plans[0]["hbm"]["ring_bytes"] == streamer.ring.size_bytes


def test_the_budget_for_all_is_enough_and_not_a_byte_less(planned):
    model = network(4)
    least = planned(model, 10)["resident_hbm_budget_bytes"]
    enough = spillway.torch.plan(model, least, work=0).to_dict()
    assert not any(row["host_tensors"] for row in enough["modules"]) and enough["ring"] is None
    less = spillway.torch.plan(model, least - 1, work=0).to_dict()
    assert any(row["host_tensors"] for row in less["modules"])


def test_the_host_budget_that_is_named_is_enough_and_not_a_page_less(stream, device, planned):
    model = network(6)
    needed = planned(model, 8)["host"]["used_bytes"]
    with pytest.raises(library.BudgetError, match=f"need {needed} bytes"):
        planned(model, 8, host_budget=needed - 1)
    planned(model, 8, host_budget=needed)
    again = network(6)
    stream(8 * MIB, host_bytes=needed - planning.PAGE_BYTES)
    with pytest.raises(torch.OutOfMemoryError):
        model.to(device)
    stream(8 * MIB, host_bytes=needed)
    assert any(homes(again.to(device)))


def test_an_hbm_budget_that_cannot_do_says_what_would():
    model = torch.nn.ModuleList([network(6), torch.nn.Embedding(1000, 512)])
    with pytest.raises(library.BudgetError, match="kept free") as error:
        spillway.torch.plan(model, 4 * MIB, work=MIB)
    least = int(str(error.value).split("at least ")[1].split(" ")[0])
    assert spillway.torch.plan(model, least, work=MIB).to_dict()["ring"]["slots"] == 3
    with pytest.raises(library.BudgetError):
        spillway.torch.plan(model, least - 1, work=MIB)


def test_a_model_smaller_than_its_ring_needs_no_more_than_itself():
    model = network(2)
    with pytest.raises(library.BudgetError) as error:
        spillway.torch.plan(model, 4 * MIB, work=0)
    least = int(str(error.value).split("at least ")[1].split(" ")[0])
    assert least == sum(p.numel() * 4 for p in model.parameters()) < 3 * LAYER
    assert spillway.torch.plan(model, least, work=0).to_dict()["ring"] is None


def test_what_runs_already_is_taken_into_account(stream, device, monkeypatch):
    first, second = network(4), network(4)  # before: the stand-in's models are made on the device
    streamer = stream(18 * MIB)
    streamer.work_bytes = 2 * MIB
    monkeypatch.setattr(spillway.torch, "_active",
                        type("Active", (), {"streamer": streamer}))
    first.to(device)
    plan = spillway.torch.plan(second).to_dict()
    assert plan["hbm"]["budget_bytes"] == streamer.hbm_bytes + 2 * MIB
    assert plan["host"]["budget_bytes"] == 512 * MIB
    second.to(device)
    assert plan["modules"] == rows_of(streamer, second)
    assert len(homes(first)) == 4


def test_the_text(planned):
    text = str(spillway.torch.plan(network(4), 8 * MIB, work=0, link=10**9))
    assert {len(line) for line in text.splitlines()} == {COLUMNS}
    assert "1.0 GB/s, as it was given" in text and "all weights would lie in HBM" in text


def test_a_rate_that_nobody_knows(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plan = spillway.torch.plan(network(4), 8 * MIB, work=0)
    assert plan.to_dict()["pass"]["predicted_seconds"] is None
    assert "give link=" in str(plan)
    with pytest.raises(ValueError, match="give hbm_budget"):
        spillway.torch.plan(network(4))


def test_what_is_no_model():
    with pytest.raises(TypeError, match="not dict"):
        spillway.torch.plan({}, "1GiB")
