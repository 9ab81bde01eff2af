"""llama.cpp (package llama-cpp-python) as a second opinion: its logits, its token ids.

usage: llama_cpp_peer.py MODEL TEXT CHUNKS    prints the perplexity
"""
import math
import sys
from pathlib import Path
from unittest import mock

import llama_cpp
import llama_cpp.llama_cpp as bindings
import numpy as np

F32, F16 = 0, 1  # ggml's numbers for the types of the KV cache


def open_model(model, context, kv=F16):
    """The plain kernels, which are llama.cpp's own definition of each block format's arithmetic.

    The repacked ones differ by machine, and those for AMX crash where the kernel grants no tiles.
    """
    defaults = bindings.llama_model_default_params

    def plain_kernels():
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    with mock.patch.object(bindings, "llama_model_default_params", plain_kernels):
        return load(model, context, kv)


def load(model, context, kv):
    return llama_cpp.Llama(str(model), n_ctx=context, n_batch=context, n_ubatch=context,
                           n_threads=2, n_threads_batch=2, logits_all=True, type_k=kv, type_v=kv,
                           verbose=False)


def logits(model, tokens, kv=F16):
    """Logits after each of the tokens: float32 [positions, vocabulary]."""
    peer = open_model(model, context=max(64, len(tokens)), kv=kv)
    peer.eval(tokens)
    return np.array(peer.scores[:len(tokens)], dtype=np.float32)


def tokenize(model, text, special=False):
    """Ids of the text; BOS where the model has one."""
    peer = llama_cpp.Llama(str(model), vocab_only=True, verbose=False)
    return peer.tokenize(text, add_bos=bool(peer._model.add_bos_token()), special=special)


def perplexity(model, text, chunks, context=512):
    """llama.cpp's own protocol: chunks of `context` tokens, the second half of each is scored."""
    peer = open_model(model, context)
    add_bos = bool(peer._model.add_bos_token())
    tokens = peer.tokenize(text, add_bos=add_bos, special=False)
    total, count = 0.0, 0
    for chunk in range(chunks):
        window = tokens[chunk * context:(chunk + 1) * context]
        if add_bos:
            window = [peer.token_bos()] + window[1:]
        peer.reset()
        peer.eval(window)
        for position in range(context // 2, context - 1):
            row = peer.scores[position].astype(np.float64)
            total += np.logaddexp.reduce(row) - row[window[position + 1]]
            count += 1
    return math.exp(total / count)


if __name__ == "__main__":
    print(perplexity(sys.argv[1], Path(sys.argv[2]).read_bytes(), int(sys.argv[3])))
