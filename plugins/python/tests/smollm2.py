"""The small trained model of the examples as a Hugging Face folder, made once a session."""
import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = 269_030_016  # bytes of it in bfloat16, tied embeddings once
QUESTION = [{"role": "user", "content": "Which is the tallest mountain in the world?"}]


@functools.cache
def gguf_file():
    pytest.importorskip("gguf", reason="the converter needs the package gguf")
    command = [sys.executable, ROOT / "tools" / "model"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the model did not come: {done.stderr.strip()}")
    return ROOT / done.stdout.strip()


@functools.cache
def _temporary():
    return tempfile.TemporaryDirectory(prefix="spillway-smollm2-")


@functools.cache
def folder():
    """Goes when the process ends."""
    from spillway import convert
    path = Path(_temporary().name) / "smollm2"
    convert.convert(gguf_file(), path)
    return path


def answer(pipe, tokens=24):
    said = pipe(QUESTION, max_new_tokens=tokens, do_sample=False)[0]["generated_text"][-1]
    return said["content"]
