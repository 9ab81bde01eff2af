"""transformers.pipeline() as people call it."""
import pytest
import torch

from models import MIB, homes
from models_on_disk import save_llama
from spillway.torch import reporting

transformers = pytest.importorskip("transformers")
QUESTION = [{"role": "user", "content": "Which is the tallest mountain in the world ?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


def answer(pipe):
    return pipe(QUESTION, max_new_tokens=8, min_new_tokens=8, do_sample=False)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float32])
def test_the_answer_is_the_same(stream, device, folder, dtype):
    def pipeline():
        return transformers.pipeline("text-generation", model=str(folder), device=device,
                                     dtype=dtype)
    wanted = answer(pipeline())
    streamer = stream(12 * MIB)
    pipe = pipeline()
    in_host = homes(pipe.model)
    assert any(in_host) and not all(in_host)
    assert answer(pipe) == wanted and answer(pipe) == wanted
    assert streamer.ring.counts.hits > streamer.ring.counts.misses
    assert pipe.model.device.type == device.type
    text = str(reporting.report(streamer, [pipe.model]))
    assert "model.layers.0-3.mlp.down_proj.weight" in text
