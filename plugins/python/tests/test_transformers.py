"""Unmodified transformers: what is loaded under streaming answers as what is loaded without."""
import pytest
import torch

from models import MIB, rounding

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=512, intermediate_size=1536, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=256)
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def generate(model):
    ids = torch.arange(1, 9, device=model.device)[None]
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12,
                          min_new_tokens=12, do_sample=False, return_dict_in_generate=True,
                          output_logits=True, pad_token_id=0)


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_generation_is_the_same(stream, checkpoint, monkeypatch, threads, dtype, attention,
                                device):
    if not threads:
        monkeypatch.setenv("HF_DEACTIVATE_ASYNC_LOAD", "1")
    load = transformers.AutoModelForCausalLM.from_pretrained
    arguments = {"dtype": dtype, "attn_implementation": attention}
    wanted = generate(load(checkpoint, **arguments).to(device))
    stream(10 * MIB)
    model = load(checkpoint, **arguments)
    streamed = [n for n, p in model.named_parameters() if hasattr(p, "spillway_weight")]
    assert streamed and not hasattr(model, "hf_device_map")
    got = generate(model)
    assert torch.equal(got.sequences, wanted.sequences)
    for one, other in zip(got.logits, wanted.logits, strict=True):
        assert torch.equal(one, other)


def test_weights_are_spread_in_the_order_of_layers(stream, checkpoint):
    stream(24 * MIB)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    by_layer = [sum(hasattr(p, "spillway_weight") for p in layer.parameters())
                for layer in model.model.layers]
    assert max(by_layer) - min(by_layer) <= 2, by_layer


def test_a_checkpoint_that_is_saved_is_the_same(stream, checkpoint, tmp_path):
    stream(10 * MIB)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    saved = again.state_dict()
    for name, one in model.state_dict().items():
        assert torch.equal(one, saved.pop(name)), name
    assert not saved


SMALL = {"vocab_size": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
OTHERS = {
    "MixtralForCausalLM": dict(
        hidden_size=512, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, num_local_experts=4, max_position_embeddings=256, **SMALL),
    "GPT2LMHeadModel": dict(n_embd=512, n_layer=2, n_head=8, n_positions=256, **SMALL),
    "T5ForConditionalGeneration": dict(
        d_model=512, d_ff=1024, d_kv=64, num_layers=2, num_heads=8, decoder_start_token_id=0,
        **SMALL)}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures_answer_the_same(stream, tmp_path, name, device):
    kind = getattr(transformers, name)
    kind(kind.config_class(**OTHERS[name])).save_pretrained(tmp_path)
    wanted = generate(kind.from_pretrained(tmp_path, dtype=torch.float32).to(device))
    streamer = stream(0)
    model = kind.from_pretrained(tmp_path, dtype=torch.float32)
    for _ in range(2):
        got = generate(model)
        assert torch.equal(got.sequences, wanted.sequences)
        for one, other in zip(got.logits, wanted.logits, strict=True):
            assert torch.equal(one, other)
    assert streamer.ring.counts.hits + 8 > streamer.ring.counts.misses


def test_a_tied_head_is_counted_once_and_streams(stream, tmp_path):
    kind = transformers.GPT2LMHeadModel
    kind(kind.config_class(**OTHERS["GPT2LMHeadModel"])).save_pretrained(tmp_path)
    streamer = stream(0)
    model = kind.from_pretrained(tmp_path, dtype=torch.float32)
    assert model.lm_head.weight is model.transformer.wte.weight
    assert hasattr(model.lm_head.weight, "spillway_weight")
    generate(model)
    assert streamer.ring.counts.hits > 0


def test_an_embedding_that_is_loaded_goes_first(stream, checkpoint, device):
    load = transformers.AutoModelForCausalLM.from_pretrained
    total = sum(p.numel() * 4 for p in load(checkpoint, dtype=torch.float32).parameters())
    streamer = stream(total - MIB // 2)
    model = load(checkpoint, dtype=torch.float32)
    assert [n for n, p in model.named_parameters() if hasattr(p, "spillway_weight")] \
        == ["model.embed_tokens.weight"]
    generate(model)
    left = streamer.hbm_bytes - streamer.allocated_bytes() + streamer.page_table_bytes()
    assert streamer.ring is None and abs(left - MIB // 2) <= rounding(device)


def test_modules_that_are_no_plain_linear_stay(stream, tmp_path, device):
    kind = transformers.GPT2LMHeadModel
    model = kind(kind.config_class(**OTHERS["GPT2LMHeadModel"]))
    stream(0)
    model.to(device)
    assert not any(hasattr(p, "spillway_weight") for p in model.transformer.h.parameters())
