"""The CPU attends to the first tokens of what lies in the host, against the same model without."""
import threading

import pytest
import torch
from torch.nn import functional

import spillway.torch
import test_kv_layer
from models import MIB
from spillway.row_worker import RowWorker
from spillway.torch import cpu_attention, cpu_rates
from spillway.torch.cpu_attention import Amounts, CpuAttention, share_of
from spillway.torch.cpu_rates import Rates

transformers = pytest.importorskip("transformers")
from transformers.cache_utils import DynamicCache  # noqa: E402

from kv_models import LAYERS, answers, model_of, prompt, same  # noqa: E402

GB = 1e9


def rates(cpu=100 * GB, link=50 * GB):
    return Rates(link_alone=link, link=link, cpu={1: cpu}, hbm=3000 * GB)


@pytest.fixture
def attending(stream, monkeypatch):
    """attending(share): all KV goes home; returns the streamer and a counter of the CPU's jobs."""
    monkeypatch.setattr(cpu_attention, "LEAST_BYTES", 1)
    open_ones = []

    def start(share=0.6, hbm=0):
        streamer = stream(hbm)
        worker = RowWorker(streamer.pool, 1)
        cpu = CpuAttention(streamer.device, worker, lambda group: Amounts(0, 0, 1 << 30, LAYERS),
                           share, rates())
        streamer.kv.cpu_attention = cpu
        open_ones.append((streamer, cpu))

        def jobs():
            streamer.device.synchronize()
            return worker.statistics().attention_jobs
        return streamer, jobs

    yield start
    for streamer, cpu in open_ones:
        streamer.kv.cpu_attention = None
        cpu.close()
        cpu.worker.close()


def error(got, wanted):
    return float((got.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize(("dtype", "most", "options"), [
    (torch.float32, 1e-5, {}), (torch.bfloat16, 2e-2, {"kv_heads": 1}),
    (torch.float16, 2e-3, {"kv_heads": 4})])
def test_a_model_answers_the_same_but_for_rounding(attending, device, dtype, most, options):
    model, ids = model_of(device, "sdpa", dtype, **options), prompt(device, 200)
    wanted = answers(model, ids, tokens=6)
    streamer, jobs = attending()
    model.to(device)
    cache = DynamicCache(config=model.config)
    got = answers(model, ids, tokens=6, past_key_values=cache)
    assert all(layer.in_host for layer in cache.layers)
    assert jobs() == 5 * LAYERS
    assert torch.equal(got[1], wanted[1])  # the prompt's
    assert all(error(one, other) <= most for one, other in zip(got[1:], wanted[1:]))
    if dtype == torch.float32:
        assert torch.equal(got[0], wanted[0])
        assert same(answers(model, ids, tokens=6), got)
    assert "CPU attention" in streamer.kv.cpu_attention.report()


def test_only_the_links_part_is_copied(attending, device):
    model, ids = model_of(device), prompt(device, 200, batch=1)
    streamer, jobs = attending(0.5)
    model.to(device)
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        token = model(ids, past_key_values=cache).logits[:, -1:].argmax(-1)

        def copied():
            before = streamer.kv.ring.counts.bytes
            model(token, past_key_values=cache)
            return streamer.kv.ring.counts.bytes - before
        whole = sum(layer.used_bytes for layer in cache.layers)
        copied(), copied()
        assert 0.5 * whole < copied() < 0.75 * whole
        done = jobs()
        model(ids[:, :7], past_key_values=cache)  # more tokens at once: all of it comes
        assert jobs() == done
        model(token, past_key_values=cache)
        assert jobs() > done


@torch.no_grad()
def test_layers_in_hbm_have_the_same_kernel(attending, device, monkeypatch):
    streamer, jobs, layers = layers_with(attending, device)
    layers[1].prefetch()
    streamer.hbm_bytes += 1 << 20
    layers[1].prefetch()
    assert [layer.in_host for layer in layers] == [True, False, True]
    calls, attend = [], streamer.device.attend
    monkeypatch.setattr(streamer.device, "attend",
                        lambda *given: calls.append(given) or attend(*given))
    query = torch.randn(2, 8, 1, 16, device=device)
    mask = torch.ones(1, 1, 1, 131, dtype=torch.bool, device=device)
    for options in ({}, {"attn_mask": mask}):
        (keys, values), wanted = one_token(layers[1], device)
        if options:
            keys, values, wanted = keys[:, :, 1:], values[:, :, 1:], [one[:, :, 1:]
                                                                      for one in wanted]
        got = functional.scaled_dot_product_attention(query, keys, values, enable_gqa=True,
                                                      **options)
        plain = functional.scaled_dot_product_attention(query, *wanted, enable_gqa=True, **options)
        assert type(got) is torch.Tensor and error(got, plain) < 1e-5
        assert len(calls) == 1  # torch's own with a mask
    assert jobs() == 0 and torch.equal(keys, wanted[0])
    layers[0].group.attends_elsewhere = True
    assert type(one_token(layers[1], device)[0][0]) is torch.Tensor
    assert not streamer.kv.cpu_attention.is_beside(layers[1])


@pytest.mark.parametrize("uses", ["eager", "padding", "beams", "prompt lookup", "autocast"])
def test_other_attention_gets_all_tokens(attending, device, uses):
    model, ids = model_of(device, "eager" if uses == "eager" else "sdpa"), prompt(device, 200)
    options = {"num_beams": 3} if uses == "beams" else {}
    if uses == "padding":
        options["mask"] = torch.ones_like(ids)
        options["mask"][0, :40] = 0
    if uses == "prompt lookup":
        ids, options = ids[:1], {"prompt_lookup_num_tokens": 2}

    def run():
        with torch.autocast(device.type, torch.bfloat16, enabled=uses == "autocast"):
            return answers(model, ids, tokens=8, **options)

    wanted = run()
    _, jobs = attending()
    model.to(device)
    got = run()
    assert torch.equal(got[0], wanted[0])
    if uses in ("eager", "padding", "autocast"):
        assert jobs() == 0 and same(got, wanted)
    else:
        assert jobs() > 0 or uses != "beams"
        assert all(error(one, other) < 1e-5 for one, other in zip(got[1:], wanted[1:]))


def layers_with(attending, device, tokens=130, count=3, **options):
    streamer, jobs = attending(**options)
    group = DynamicCache()
    layers = [group.layer_class_to_replicate() for _ in range(count)]
    shape = (2, 2, tokens, 16)
    for layer in layers:
        layer.update(torch.randn(shape, device=device), torch.randn(shape, device=device))
    return streamer, jobs, layers


def one_token(layer, device):
    """(what update() gives, what it is to be)"""
    new = torch.randn(2, 2, 1, 16, device=device)
    were = layer.keys.clone(), layer.values.clone()
    return layer.update(new, -new), [torch.cat([one, more], 2) for one, more
                                     in zip(were, (new, -new))]


@torch.no_grad()
def test_what_is_kept_is_whole_whatever_comes_after(attending, device):
    _, jobs, layers = layers_with(attending, device)
    kept, wanted = [], []
    for change in (None, "crop", "reorder", "reset", "prefetch", None):
        for layer in layers:
            if not layer.length:
                continue
            parts, were = one_token(layer, device)
            kept += parts
            wanted += were
        for layer in layers if change else ():
            {"crop": lambda: layer.crop(-70), "prefetch": layer.prefetch, "reset": lambda: None,
             "reorder": lambda: layer.reorder_cache(torch.tensor([1, 0], device=device)),
             }[change]()
    layers[0].reset()
    assert all(torch.equal(one, other) for one, other in zip(kept, wanted))
    assert jobs() == 0


@torch.no_grad()
@pytest.mark.parametrize("scale", [None, 0.5])
def test_merged_attention_is_attention(attending, device, scale):
    _, jobs, layers = layers_with(attending, device)
    query = torch.randn(2, 8, 1, 16, device=device)
    for step in range(4):
        for layer in layers:
            (keys, values), wanted = one_token(layer, device)
            assert keys.shape == wanted[0].shape and keys.use.first == 64
            got = functional.scaled_dot_product_attention(query, keys, values, scale=scale,
                                                          enable_gqa=True)
            plain = functional.scaled_dot_product_attention(query, *wanted, scale=scale,
                                                            enable_gqa=True)
            assert type(got) is torch.Tensor and error(got, plain) < 1e-5
    assert jobs() == 12
    assert torch.equal(keys, wanted[0]) and torch.equal(values + 0, wanted[1])
    assert type(one_token(layers[0], device)[0][0]) is torch.Tensor  # somebody looks into them


class Twins(test_kv_layer.Twins):
    """What is attended to is that of the other layer."""

    def update(self):
        shape = self.batch, 2, self.generator.choice((1, 1, 1, 1, 70)), 8
        states = [torch.randn(shape, device=self.device) for _ in "kv"]
        wanted = self.plain.update(*states)
        found = self.ours.update(*states)
        query = torch.randn(self.batch, 2, 1, 8, device=self.device)
        got, plain = [functional.scaled_dot_product_attention(query, *parts)
                      for parts in (found, wanted)]
        assert error(got, plain) < 1e-5
        if self.generator.random() < 0.2:
            assert all(map(torch.equal, found, wanted))
            self.ours.group.attends_elsewhere = False


@torch.no_grad()
def test_whatever_is_done_with_layers(attending, device):
    _, jobs = attending()
    for seed in range(3):
        test_kv_layer.steps_of_twins(Twins, device, seed)
    assert jobs() > 20


def test_threads_that_use_caches_of_their_own(attending, device):
    model, ids = model_of(device), prompt(device, 200, batch=1)
    _, jobs = attending()
    model.to(device)
    wanted, found = answers(model, ids), {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: answers(model, ids)}))
               for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobs() > 0
    for got in found.values():
        assert torch.equal(got[0], wanted[0])
        assert all(error(one, other) < 1e-5 for one, other in zip(got[1:], wanted[1:]))


def test_both_are_done_together():
    found = rates()
    amounts = Amounts(20 * GB, 2 * GB, 10 * GB, 32)
    share = share_of(found, amounts)
    link = (2 * GB + (1 - share) * 10 * GB) / found.link
    between = 20 / 3000 + 32 * cpu_attention.HANDOVER_SECONDS
    assert link == pytest.approx(share * 10 * GB / found.cpu[1] + between)
    assert share_of(found, Amounts(0, 0, 0, 32)) == 0
    assert share_of(rates(cpu=1 * GB), amounts) == 0  # not worth it
    assert share_of(rates(cpu=1e15), amounts) < 1


@torch.no_grad()
def test_a_share_that_is_found_out_grows_with_the_cache(attending, device):
    streamer, jobs, layers = layers_with(attending, device, share=None)
    for layer in layers:
        layer.group.by_one = True
    assert streamer.kv.cpu_tokens(layers[0]) == 64  # of 130, by rates of 2 to 1
    streamer.kv.cpu_attention.rates = rates(cpu=1e15)
    assert streamer.kv.cpu_tokens(layers[0]) == 64
    shape = (2, 2, 200, 16)
    layers[0].update(torch.randn(shape, device=device), torch.randn(shape, device=device))
    layers[0].group.by_one = True
    assert streamer.kv.cpu_tokens(layers[0]) == 256


def test_the_rate_of_attention_is_measured(stream):
    streamer = stream(40 * MIB)
    worker = RowWorker(streamer.pool, 1)
    found = cpu_rates.measure(streamer.device, streamer.pool, worker, cpu_rates.Attend)
    worker.close()
    assert list(found.cpu) == [1] and 1e8 < found.cpu[1] < 1e13 and found.link > 1e8


def test_what_is_no_share_is_refused():
    with pytest.raises(ValueError, match="cpu_attention is 2"):
        spillway.torch._cpu_share(2, "cpu_attention")
    assert spillway.torch._cpu_share("auto", "cpu_attention") == 0
