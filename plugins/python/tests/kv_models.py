"""Small models with KV caches, and what they answer, for several tests."""
import torch
import transformers

from models import MIB

LAYERS, HEADS, DIM = 6, 4, 32
BUDGET = 64 * MIB  # of weights and all: the models here take 10 MiB


def model_of(device, attention="sdpa", dtype=torch.float32, kv_heads=2, **config):
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        intermediate_size=128, num_hidden_layers=LAYERS, num_key_value_heads=kv_heads, head_dim=DIM,
        vocab_size=300, **{"hidden_size": HEADS * DIM, "num_attention_heads": HEADS,
                           "sliding_window": None, **config})
    model = transformers.MistralForCausalLM(config).to(dtype).to(device).eval()
    model.set_attn_implementation(attention)
    return model


def prompt(device, tokens=100, batch=2):
    return torch.randint(1, 300, (batch, tokens),
                         generator=torch.Generator().manual_seed(1)).to(device)


def answers(model, ids, mask=None, tokens=4, **options):
    """Token ids and logits."""
    found = model.generate(
        ids, attention_mask=torch.ones_like(ids) if mask is None else mask, max_new_tokens=tokens,
        min_new_tokens=tokens, do_sample=False, pad_token_id=0, return_dict_in_generate=True,
        output_logits=True, **options)
    return [found.sequences, *found.logits]


def same(some, others):
    return len(some) == len(others) and all(map(torch.equal, some, others))
