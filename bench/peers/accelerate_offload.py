#!/usr/bin/env python3
"""The peer of dropin.py: the same model by Hugging Face Accelerate, whose hooks copy each offloaded
weight when its layer runs. On each line of its input it generates once and answers with a line
of JSON: seconds a token and of the prompt.

usage: accelerate_offload.py --hbm-weights BYTES [--layers 40 …] [--tokens 4], as dropin.py has them
"""
import argparse
import json
import sys
from pathlib import Path

import accelerate
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import dropin_setup as setup  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    for name in ("hbm-weights", "layers", "hidden", "ffn", "vocabulary", "prompt", "tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    gpu = torch.cuda.is_available()
    device = 0 if gpu else "cpu"
    model = setup.build(options)
    most = {0: options.hbm_weights, "cpu": 1 << 50} if gpu else {"cpu": 1 << 50}
    places = accelerate.infer_auto_device_map(
        model, max_memory=most, no_split_module_classes=model._no_split_modules)
    model = accelerate.dispatch_model(model, places)
    ids = setup.prompt(options).to(device)
    synchronize = torch.cuda.synchronize if gpu else lambda: None
    setup.generate_seconds(synchronize, model, ids, 1)
    held = torch.cuda.memory_allocated() if gpu else 0
    print(json.dumps({"hbm_bytes": held}), flush=True)
    for _ in sys.stdin:
        token, first = setup.decode_seconds(synchronize, model, ids, options.tokens)
        print(json.dumps({"token_seconds": token, "prompt_seconds": first}), flush=True)


if __name__ == "__main__":
    main()
