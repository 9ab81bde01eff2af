#!/usr/bin/env python3
"""How much of the error of CPU rows is bfloat16's own: logits of a Llama of random weights where a
share of each product's rows is added up in another order, against torch's own and against the same
weights in float32. On the CPU.

usage: dropin_rounding.py [--layers 40] [--hidden 512] [--shares 0.5 1]
"""
import argparse

import torch
import transformers


def model_of(options, dtype, state=None):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=options.hidden, intermediate_size=2 * options.hidden,
        num_hidden_layers=options.layers, num_attention_heads=4, num_key_value_heads=4,
        vocab_size=2000, max_position_embeddings=256)
    model = transformers.LlamaForCausalLM(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape) * 0.02)
    if state is not None:
        model.load_state_dict(state)
    return model


def logits(model, ids):
    with torch.no_grad():
        return model(ids, use_cache=False).logits[0].double()


def logits_of_rows(model, ids, share, dtype):
    """The last rows of each product added up as `dtype`, and rounded once."""
    original = torch.nn.Linear.forward

    def forward(self, x):
        y = original(self, x).clone()
        first = int(len(self.weight) * (1 - share))
        y[..., first:] = (x.to(dtype) @ self.weight[first:].to(dtype).t()).to(y.dtype)
        return y

    torch.nn.Linear.forward = forward
    try:
        return logits(model, ids)
    finally:
        torch.nn.Linear.forward = original


def error(got, wanted):
    return float((got - wanted).norm() / wanted.norm())


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].strip())
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 1.0])
    options = parser.parse_args()
    model = model_of(options, torch.bfloat16)
    exact = {name: value.float() for name, value in model.state_dict().items()}
    ids = torch.randint(0, 2000, (1, 8), generator=torch.Generator().manual_seed(0))
    own, truth = logits(model, ids), logits(model_of(options, torch.float32, exact), ids)
    print(f"torch's own: {error(own, truth):.2e} from float32")
    for dtype in (torch.float32, torch.float64):
        for share in options.shares:
            found = logits_of_rows(model, ids, share, dtype)
            print(f"{share:.0%} of the rows added up as {dtype}: {error(found, own):.2e} from "
                  f"torch's own, {error(found, truth):.2e} from float32")


if __name__ == "__main__":
    main()
