"""Steps of models in fewer launches: what is known is found, replaced and put back, and computes
the same bits."""
import importlib
import types

import pytest
import torch
from torch import nn

import kv_models
from conftest import make_streamer
from kv_models import BUDGET, answers, same
from models import MIB
from spillway import library
from spillway.torch import joined, loading, reporting

transformers = pytest.importorskip("transformers")
from transformers.activations import SiLUActivation
from transformers.models.gemma2 import modeling_gemma2
from transformers.models.llama import modeling_llama as llama
from transformers.models.mistral import modeling_mistral as mistral


class Counted:
    """Kernels that say how often they were asked."""

    def __init__(self, kernels):
        self.calls = dict.fromkeys(("norm", "rotate", "silu_times", "copy_two"), 0)
        self._kernels = kernels

    def left_to_torch(self):
        return self._kernels.left_to_torch()

    def __getattr__(self, name):
        def call(*arguments):
            self.calls[name] += 1
            return getattr(self._kernels, name)(*arguments)
        return call


@pytest.fixture
def counted(stream, monkeypatch):
    """counted(): as stream(), with the calls of what joins."""
    def start(hbm_bytes=BUDGET, make=Counted):
        kind = joined.Joined
        found = []

        def install(streamer, patches):
            one = kind(streamer, patches)
            one._kernels = make(one._kernels)
            found.append(one._kernels)
            return one
        monkeypatch.setattr(joined, "Joined", install)
        streamer = stream(hbm_bytes)
        return streamer, found[0]
    return start


# -- What is known

@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2", "qwen3"])
def test_models_as_they_are_now_are_known(name):
    module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    values = vars(module)
    prefix = name.capitalize()
    assert joined.is_same(module.apply_rotary_pos_emb, joined.apply_rotary_pos_emb)
    assert joined.is_same(values[prefix + "RMSNorm"].forward, joined.norm)
    assert joined.is_same(values[prefix + "MLP"].forward, joined.mlp)
    assert joined.is_same(SiLUActivation.forward, joined.silu)


def _norm_of_squares(self, hidden_states):
    input_dtype = hidden_states.dtype
    hidden_states = hidden_states.to(torch.float32)
    variance = hidden_states.pow(2).mean(-2, keepdim=True)
    hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
    return self.weight * hidden_states.to(input_dtype)


def test_what_differs_is_not():
    assert not joined.is_same(modeling_gemma2.Gemma2RMSNorm.forward, joined.norm)
    assert not joined.is_same(_norm_of_squares, joined.norm)
    assert not joined.is_same(None, joined.norm)
    known = joined.apply_rotary_pos_emb
    for names in ({"torch": torch}, {"torch": torch, "rotate_half": _norm_of_squares},
                  {"torch": None, "rotate_half": joined.rotate_half}):
        other = types.FunctionType(known.__code__, names, argdefs=known.__defaults__)
        assert not joined.is_same(other, known)
    other = types.FunctionType(known.__code__, known.__globals__, argdefs=(2,))
    assert not joined.is_same(other, known)


# -- What it computes

@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@torch.no_grad()
def test_kernels_give_the_same_bits(stream, device, dtype):
    streamer = stream(BUDGET)
    kernels = streamer.device.joined_kernels(streamer.pool)
    for shape in [(1, 1, 5120), (1, 1, 576), (1, 1, 8196), (1, 1, 128), (4, 1, 640), (1, 7, 33)]:
        norm = llama.LlamaRMSNorm(shape[-1], 1e-5).to(device, dtype)
        norm.weight.normal_()
        for scale in (1e-3, 1, 30):
            x = (torch.randn(shape) * scale).to(device, dtype)
            assert torch.equal(kernels.norm(x, norm.weight, 1e-5), norm(x)), (shape, scale)
    act = SiLUActivation()
    x, factor = ((torch.randn(1, 1, 4096) * 8).to(device, dtype) for _ in range(2))
    assert torch.equal(kernels.silu_times(x, factor), act(x) * factor)
    for batch, heads, dim in [(1, (40, 8), 128), (3, (9, 3), 64)]:
        q, k = (torch.randn(batch, 1, count, dim).to(device, dtype).transpose(1, 2)
                for count in heads)
        for angles in {1, batch}:
            angle = torch.rand(angles, 1, dim) * 6
            cos, sin = angle.cos().to(device, dtype), angle.sin().to(device, dtype)
            wanted = llama.apply_rotary_pos_emb(q, k, cos, sin)
            assert all(map(torch.equal, kernels.rotate(q, k, cos, sin), wanted))


# -- Where it takes their place

@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_model_answers_the_same_by_it(counted, device, batch, dtype):
    ids = kv_models.prompt(device, batch=batch)
    wanted = answers(kv_models.model_of(device, dtype=dtype), ids)
    _, kernels = counted()
    model = kv_models.model_of(device, dtype=dtype)
    assert same(answers(model, ids), wanted)
    layers, tokens = kv_models.LAYERS, 4
    assert kernels.calls == {"norm": tokens * (2 * layers + 1), "silu_times": tokens * layers,
                             "rotate": (tokens - 1) * layers,  # not of the prompt
                             "copy_two": (tokens - 1) * layers}


def test_what_was_replaced_is_put_back(device):
    def places():
        return (mistral.apply_rotary_pos_emb, mistral.MistralRMSNorm.forward,
                mistral.MistralMLP.forward)

    before = places()
    patches = loading.install(make_streamer(device, BUDGET, BUDGET))
    try:
        model = kv_models.model_of(device)
        assert places() == before
        answers(model, kv_models.prompt(device))
        assert all(one is not other for one, other in zip(places(), before))
    finally:
        patches.remove()
    assert places() == before


def test_gradients_autocast_and_hooks_have_the_models_own(counted, device):
    _, kernels = counted()
    model = kv_models.model_of(device)
    ids = kv_models.prompt(device, batch=1)
    answers(model, ids, tokens=2)
    before = dict(kernels.calls)
    model(ids[:, :1]).logits.sum().backward()
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        model(ids[:, :1])
    assert kernels.calls == before
    seen = []
    model.model.layers[0].mlp.act_fn.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        model(ids[:, :1])
    assert seen and kernels.calls["silu_times"] == before["silu_times"] + kv_models.LAYERS - 1


@torch.no_grad()
def test_what_cannot_be_read_in_one_piece_is_torchs(counted, device):
    _, kernels = counted()
    answers(kv_models.model_of(device), kv_models.prompt(device, batch=1), tokens=1)
    kernels.calls["norm"] = 0
    norm = mistral.MistralRMSNorm(64).to(device)
    wide = torch.randn(1, 4, 128, device=device)
    scattered, halves = wide[..., ::2], torch.randn(1, 4, 64, device=device).bfloat16()
    plain = norm(scattered.contiguous())
    assert kernels.calls["norm"] == 1
    assert torch.equal(norm(scattered), plain)
    assert norm(halves).dtype == torch.float32  # of two dtypes
    norm.weight = nn.Parameter(torch.ones(1, device=device))
    assert norm(wide).shape == wide.shape
    assert kernels.calls["norm"] == 1


def test_nothing_at_all_and_hooks_of_every_module_are_torchs(counted, device):
    _, kernels = counted()
    model = kv_models.model_of(device)
    answers(model, kv_models.prompt(device))  # what is known has been replaced
    before = dict(kernels.calls)
    mlp, norm = model.model.layers[0].mlp, model.model.norm
    width = model.config.hidden_size
    with torch.no_grad():
        for shape in [(1, 0, width), (0, 1, width)]:
            x = torch.empty(shape, device=device, dtype=norm.weight.dtype)
            assert norm(x).shape == shape and mlp(x).shape == shape
        assert kernels.calls == before
        seen = []
        handle = nn.modules.module.register_module_forward_hook(
            lambda module, *_: seen.append(type(module)))
        try:
            mlp(torch.ones(1, 1, width, device=device, dtype=norm.weight.dtype))
        finally:
            handle.remove()
    assert type(mlp.act_fn) in seen and kernels.calls == before


def test_nothing_is_replaced_once_all_is_put_back(device):
    patches = loading.install(make_streamer(device, BUDGET, BUDGET))
    one = patches.handles[-1]
    assert isinstance(one, joined.Joined)
    patches.remove()
    forward = mistral.MistralRMSNorm.forward
    one.look()  # of a thread that was about to
    assert mistral.MistralRMSNorm.forward is forward


def test_a_library_without_kernels_leaves_it_to_torch(counted, device):
    class Missing(Counted):
        def __getattr__(self, name):
            def call(*_arguments):
                self.calls[name] += 1
                raise library.Error("built without")
            return call

    ids = kv_models.prompt(device, batch=1)
    wanted = answers(kv_models.model_of(device), ids)
    streamer, kernels = counted(make=Missing)
    assert streamer.kv.joined.report() == ""
    assert same(answers(kv_models.model_of(device), ids), wanted)
    assert sum(kernels.calls.values()) == 1
    assert reporting.report(streamer, []).to_dict()["notes"] \
        == ["joined steps: left to torch, one launch an operation: all"]


def test_what_kernels_refuse_is_torchs(counted, device):
    class Refusing(Counted):
        def __getattr__(self, name):
            def call(*_arguments):
                self.calls[name] += 1
            return call

    ids = kv_models.prompt(device, batch=1)
    wanted = answers(kv_models.model_of(device), ids)
    _, kernels = counted(make=Refusing)
    assert same(answers(kv_models.model_of(device), ids), wanted)
    assert all(calls > 1 for calls in kernels.calls.values())


def test_weights_that_stream_go_the_same_way(counted, device):
    ids = kv_models.prompt(device, batch=1)
    wide = {"hidden_size": 512, "num_attention_heads": 8}
    wanted = answers(kv_models.model_of(device, **wide), ids)
    streamer, kernels = counted(4 * MIB)
    model = kv_models.model_of("cpu", **wide).to(device)
    assert streamer.ring is not None
    assert same(answers(model, ids), wanted)
    assert kernels.calls["silu_times"] > 0
