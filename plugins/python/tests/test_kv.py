"""KV caches in tiers: what transformers' DynamicCache gives, bit for bit, within the budgets."""
import copy
import gc
import io
import threading

import pytest
import torch

from models import MIB, home_bytes, homes, rounding
from spillway.torch import planning, reporting

transformers = pytest.importorskip("transformers")
from transformers.cache_utils import DynamicCache, DynamicLayer  # noqa: E402

from kv_models import BUDGET, DIM, LAYERS, answers, model_of, prompt, same  # noqa: E402
from spillway.torch import kv_tiers  # noqa: E402


@pytest.fixture
def tight(stream):
    """tight(model, answer): a streamer with HBM for three quarters of the cache that
    answer(past_key_values=…) fills, two layers of them for the ring. With all of it in HBM, answer
    has given what it gives without Spillway."""
    def start(model, answer):
        wanted = answer(past_key_values=DynamicCache(config=model.config))
        streamer = stream(BUDGET)
        others = streamer.allocated_bytes()
        cache = DynamicCache(config=model.config)
        assert same(answer(past_key_values=cache), wanted)
        assert not any(layer.in_host for layer in cache.layers)
        streamer.hbm_bytes = others + sum(layer.hbm_bytes for layer in cache.layers) * 3 // 4
        return streamer, wanted
    return start


def kv_bytes(streamer, model):
    """Of the host. Weights may have yielded on a GPU, where torch counts activations, too."""
    return streamer.pool.host_use()["used_bytes"] - home_bytes(model)


def padded(ids):
    mask = torch.ones_like(ids)
    mask[0, :40] = 0
    return mask


@pytest.mark.parametrize(("attention", "dtype", "options"), [
    ("eager", torch.float32, {}), ("sdpa", torch.float32, {"mask": padded}),
    ("sdpa", torch.bfloat16, {}), ("sdpa", torch.float32, {"num_beams": 3}),
    ("sdpa", torch.float32, {"prompt_lookup_num_tokens": 2})])
def test_the_same_tokens_and_logits(tight, device, attention, dtype, options):
    model, ids = model_of(device, attention, dtype), prompt(device)
    if "mask" in options:
        options = {"mask": padded(ids)}
    if "prompt_lookup_num_tokens" in options:
        ids = ids[:1]
    streamer, wanted = tight(model, lambda **cache: answers(model, ids, **options, **cache))
    peak, allocated = [], streamer.allocated_bytes
    streamer.allocated_bytes = lambda: peak.append(allocated()) or peak[-1]
    assert same(answers(model, ids, **options), wanted)
    assert len(peak) > LAYERS and max(peak) <= streamer.hbm_bytes + rounding(model.device)
    gc.collect()
    assert streamer.kv.ring is None and streamer.kv.layers() == []  # went with their cache
    assert kv_bytes(streamer, model) == 0


def test_what_goes_home_is_spread_and_comes_ahead_of_use(tight, device):
    model, ids = model_of(device), prompt(device)
    streamer, wanted = tight(model, lambda **cache: answers(model, ids, **cache))
    cache = DynamicCache(config=model.config)
    assert same(answers(model, ids, past_key_values=cache), wanted)
    homed = [layer.in_host for layer in cache.layers]
    assert homed == [True, False, True, False, True, True]
    counts = streamer.kv.ring.counts
    assert counts.hits >= 2 * sum(homed) and counts.misses <= 2 * sum(homed)
    assert sum(layer.hbm_bytes for layer in cache.layers) > 0
    assert streamer.allocated_bytes() <= streamer.hbm_bytes


def test_a_conversation_goes_on(tight, device):
    """past_key_values from call to call, cropped between, copied, and saved."""
    model, ids = model_of(device), prompt(device, batch=1)

    def talk(past_key_values):
        cache = past_key_values
        found = answers(model, ids, past_key_values=cache)
        found += answers(model, torch.cat([found[0], ids[:, :9]], 1), past_key_values=cache)
        cache.crop(-20)
        other = copy.deepcopy(cache)
        saved = io.BytesIO()
        torch.save(cache, saved)
        saved.seek(0)
        third = torch.load(saved, weights_only=False)
        assert type(third.layers[0]) is DynamicLayer
        more = ids[:, :9].repeat(1, 1 + cache.get_seq_length() // 9)[:, :cache.get_seq_length() + 5]
        for one in (cache, other, third):
            found += answers(model, more, past_key_values=one)
        return found

    _, wanted = tight(model, talk)
    assert same(talk(DynamicCache(config=model.config)), wanted)


def test_sliding_windows_and_names(stream, device):
    model, ids = model_of(device, sliding_window=50), prompt(device)
    full = model_of(device)
    with pytest.raises(ValueError, match="Invalid `cache_implementation`"):
        answers(full, ids, cache_implementation="spillway")
    slides, wanted = answers(model, ids), answers(full, ids)
    stream(0)
    assert same(answers(model, ids), slides)
    assert same(answers(full, ids, cache_implementation="spillway"), wanted)
    with pytest.raises(ValueError, match="Invalid `cache_implementation`"):
        answers(full, ids, cache_implementation="tiers")


def test_gradients_are_recorded_as_ever(stream, device):
    model, ids = model_of(device, "eager"), prompt(device)  # the same twice, on a GPU, too

    def gradients():
        model.zero_grad()
        first = model(ids, use_cache=True)
        second = model(ids[:, :5], past_key_values=first.past_key_values)
        (first.logits.sum() + second.logits.square().sum()).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    wanted = gradients()
    stream(0)
    assert same(gradients(), wanted)


def test_a_host_budget_that_is_full_is_an_error(stream, device):
    model, ids = model_of(device), prompt(device)
    wanted = answers(model, ids)
    streamer = stream(BUDGET, 1 * MIB)
    cache = DynamicCache(config=model.config)
    assert same(answers(model, ids, past_key_values=cache), wanted)
    streamer.hbm_bytes = 0
    longer = torch.cat([wanted[0], prompt(device, 900)], 1)
    with pytest.raises(torch.OutOfMemoryError, match="KV cache has no room in host memory"):
        answers(model, longer, past_key_values=cache)
    del cache
    gc.collect()
    assert same(answers(model, ids), wanted)


def test_several_threads(stream, device):
    model, ids = model_of(device), prompt(device)
    wanted = [answers(model, ids[:, :tokens]) for tokens in (40, 60, 80, 100)]
    streamer = stream(BUDGET)
    streamer.hbm_bytes = streamer.allocated_bytes()
    found = [None] * len(wanted)

    def run(at, tokens):
        found[at] = answers(model, ids[:, :tokens])

    threads = [threading.Thread(target=run, args=(at, 40 + 20 * at)) for at in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(same, found, wanted))


def test_the_report_shows_where_it_lies(tight, device):
    model, ids = model_of(device), prompt(device)
    streamer, _ = tight(model, lambda **cache: answers(model, ids, **cache))
    assert reporting.report(streamer, [model]).to_dict()["kv"] is None
    cache = DynamicCache(config=model.config)
    answers(model, ids, past_key_values=cache)
    overview = reporting.report(streamer, [model])
    numbers, text = overview.to_dict(), str(overview)
    kv = numbers["kv"]
    length = cache.get_seq_length()
    assert (kv["tokens"], kv["layers"], kv["host_layers"]) == (length, LAYERS, 4)
    token = 2 * 2 * 2 * DIM * 4  # keys and values, batch, heads
    assert kv["streamed_bytes"] == 4 * length * token
    assert kv["host_bytes"] == kv_bytes(streamer, model) >= 4 * length * token
    assert kv["hbm_bytes"] == sum(layer.hbm_bytes for layer in cache.layers) >= 2 * length * token
    assert numbers["hbm"]["kv_bytes"] == kv["hbm_bytes"] + kv["slots_bytes"]
    assert numbers["link"]["bytes_per_second"] > 0 and kv["predicted_seconds"] > 0
    assert f"{length} tokens in 6 layers, 4 of them in the host" in text


@torch.no_grad()
def test_where_nothing_can_yield_it_is_asked_once(stream, device, monkeypatch):
    """Looking for weights that could leave HBM goes through all objects of the process."""
    asked = []
    monkeypatch.setattr(kv_tiers, "yield_weights", lambda *given: asked.append(given) or 0)
    streamer = stream(0)
    cache = DynamicCache()
    for _ in range(5):
        for layer in range(4):
            states = torch.randn(1, 2, 3, 8, device=device)
            cache.update(states, states, layer)
    assert len(asked) == 1 and all(layer.in_host for layer in cache.layers)
    for layer in cache.layers:
        layer.reset()
    assert streamer.kv.ring is None and cache.get_seq_length() == 0


@torch.no_grad()
def test_the_plan_is_what_comes(stream, device):
    """For caches that fit, that go home in part, and for which weights go."""
    if device.type == "cuda":
        pytest.skip("torch counts activations on a GPU, which are as large as this cache")
    original = model_of(device, hidden_size=512, num_attention_heads=16, kv_heads=16)
    streamer = stream(BUDGET)
    others = streamer.hbm_bytes - BUDGET
    for hbm, tokens in ((45, 300), (35, 300), (16, 300)):
        streamer.hbm_bytes = others + hbm * MIB
        planned = planning.plan(
            original, None, planning.Budgets(hbm * MIB, 0), None, (None, ""),
            (tokens, 1)).to_dict()["kv"]
        model = copy.deepcopy(original).to(device)
        cache = DynamicCache(config=model.config)
        before = sum(homes(model))
        model(prompt(device, tokens, 1), past_key_values=cache)
        kv = reporting.report(streamer, [model]).to_dict()["kv"]
        yielded = planned["yielded_bytes"] > 0
        assert (sum(homes(model)) > before) == yielded
        if yielded:  # whole weights, which may leave room for a layer
            assert planned["host_layers"] - kv["host_layers"] in (0, 1)
        else:
            for key in ("host_layers", "hbm_bytes", "streamed_bytes"):
                assert kv[key] == planned[key], (hbm, tokens, key)
        assert streamer.allocated_bytes() <= streamer.hbm_bytes
        del cache, model
        gc.collect()
