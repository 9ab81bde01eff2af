"""The real model on a GPU, an unmodified pipeline: the same answer from less HBM."""
import pytest
import smollm2

from processes import TESTS, run_script

pytestmark = pytest.mark.gpu

BEGIN = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import transformers
import smollm2
import spillway.torch

def pipeline():
    return transformers.pipeline("text-generation", model=sys.argv[1], device="cuda",
                                 dtype="bfloat16")
"""
PLAIN = BEGIN + """
print(smollm2.answer(pipeline()))
"""
STREAMED = BEGIN + """
weights, work = int(sys.argv[2]), 640 << 20
spillway.torch.enable(hbm_budget=weights + work, work=work)
streamer = spillway.torch._active.streamer
pipe = pipeline()
assert weights < 0.41 * sum(p.numel() * p.element_size() for p in pipe.model.parameters())
assert streamer.allocated_bytes() <= weights, streamer.allocated_bytes()
print(smollm2.answer(pipe))
assert streamer.ring.counts.hits > streamer.ring.counts.misses
"""


def test_the_resident_answer_with_two_fifths_of_the_weights_in_hbm(tmp_path):
    folder = smollm2.folder()
    plain = run_script(tmp_path, PLAIN, folder)
    assert plain.returncode == 0, plain.stderr
    streamed = run_script(tmp_path, STREAMED, folder, int(0.4 * smollm2.WEIGHTS))
    assert streamed.returncode == 0, streamed.stderr
    assert streamed.stdout == plain.stdout and "Everest" in plain.stdout
