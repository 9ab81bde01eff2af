"""The real model, an unmodified pipeline and no GPU: the same answer from less memory."""
import os
import subprocess
import sys

import pytest
import smollm2

import spillway.torch

pytestmark = pytest.mark.standin("there must be no GPU")
transformers = pytest.importorskip("transformers")
sys.path.insert(0, str(smollm2.ROOT / "tests" / "e2e"))
import cgroup  # noqa: E402

MIB = 1 << 20
LEFT = 150_000_000  # over an idle process, under the hard limit

IDLE = """
import torch
from transformers import pipeline, LlamaForCausalLM
a = torch.ones(1024, 1024, dtype=torch.bfloat16)
(a @ a).sum().item()
"""
SCRIPT = """
import sys
import spillway.torch
spillway.torch.enable(host_budget="78MiB")
import transformers
pipe = transformers.pipeline("text-generation", model=sys.argv[1], device="cuda", dtype="bfloat16")
question = [{"role": "user", "content": "Which is the tallest mountain in the world?"}]
print(pipe(question, max_new_tokens=24, do_sample=False)[0]["generated_text"][-1]["content"])
print(spillway.torch.report(pipe.model), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def plain():
    """What is said without Spillway."""
    pipe = transformers.pipeline("text-generation", model=str(smollm2.folder()), device="cpu",
                                 dtype="bfloat16")
    assert sum(p.numel() * 2 for p in pipe.model.parameters()) == smollm2.WEIGHTS
    return smollm2.answer(pipe)


def test_the_answer_within_two_fifths_of_the_weights(plain):
    work = 64 * MIB
    spillway.torch.enable(host_budget=int(0.4 * smollm2.WEIGHTS) + work, work=work)
    try:
        with pytest.warns(RuntimeWarning, match="no GPU"):
            pipe = transformers.pipeline("text-generation", model=str(smollm2.folder()),
                                         device="cuda", dtype="bfloat16")
        streamer = spillway.torch._active.streamer
        assert streamer.allocated_bytes() <= 0.4 * smollm2.WEIGHTS
        assert smollm2.answer(pipe) == plain and "Everest" in plain
        assert streamer.device.reader.bytes > 24 * 0.6 * smollm2.WEIGHTS
    finally:
        spillway.torch.disable()


def test_the_answer_on_a_stand_in_for_a_gpu(plain, stream):
    streamer = stream(int(0.4 * smollm2.WEIGHTS))
    pipe = transformers.pipeline("text-generation", model=str(smollm2.folder()), device="cpu",
                                 dtype="bfloat16")
    assert streamer.allocated_bytes() <= 0.4 * smollm2.WEIGHTS
    assert smollm2.answer(pipe) == plain
    assert streamer.ring.counts.hits > streamer.ring.counts.misses


def run(group, *words):
    environment = {**os.environ, "PYTHONPATH": str(smollm2.ROOT / "plugins" / "python"),
                   "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "2"}
    return subprocess.run([*group.prefix(), sys.executable, *words], env=environment,
                          capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(cgroup.why_missing() is not None, reason=str(cgroup.why_missing()))
def test_a_hard_limit_is_never_met(plain):
    """Smaller than an idle process and the weights. The first run brings torch's own files into the
    page cache, which is charged to whoever reads them first."""
    folder = smollm2.folder()
    file = folder / "model.safetensors"
    for _ in range(2):
        with cgroup.group(4 << 30) as group:
            assert run(group, "-c", IDLE).returncode == 0
            idle = group.peak()
    if idle == 0:
        pytest.skip("this kernel does not say what a group's peak was")
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    limit = idle + LEFT
    assert limit < idle + smollm2.WEIGHTS
    with cgroup.group(limit) as group:
        done = run(group, "-c", SCRIPT, str(folder))
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.strip() == plain.strip()
        assert group.times_at_limit() == 0, f"{group.peak() >> 20} of {limit >> 20} MiB"
