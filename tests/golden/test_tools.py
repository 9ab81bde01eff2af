"""The converters: what they refuse, and that they change no weight."""
import subprocess
import sys

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")

import files

CHECKPOINT = files.SHARED / "model" / "stories260K.bin"
TOKENIZER = files.SHARED / "model" / "tok512.bin"


def call(tool, *arguments):
    return subprocess.run([sys.executable, files.ROOT / "tools" / tool, *arguments],
                          capture_output=True, text=True)


@pytest.fixture(autouse=True)
def needs_shared_data():
    if not CHECKPOINT.is_file():
        pytest.skip(f"no {CHECKPOINT}")


@pytest.mark.parametrize("size", [0, 10, 28, 1000, 1056536])
def test_short_checkpoints_are_refused(tmp_path, size):
    short = tmp_path / "short.bin"
    short.write_bytes(CHECKPOINT.read_bytes()[:size])
    run = call("convert_llama2c.py", short, TOKENIZER, tmp_path / "out.gguf")
    assert run.returncode == 1 and str(short) in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("size", [0, 3, 11, 6226])
def test_short_tokenizers_are_refused(tmp_path, size):
    short = tmp_path / "short.bin"
    short.write_bytes(TOKENIZER.read_bytes()[:size])
    run = call("convert_llama2c.py", CHECKPOINT, short, tmp_path / "out.gguf")
    assert run.returncode == 1 and str(short) in run.stderr and "Traceback" not in run.stderr


def test_dequantising_keeps_metadata_and_weights():
    if files.model() is None:
        pytest.skip(f"no {files.MODEL}")
    before, after = gguf.GGUFReader(files.model()), gguf.GGUFReader(files.model_f32())
    own = {"general.file_type", "general.quantization_version"}
    for key, field in before.fields.items():
        if not key.startswith("GGUF.") and key not in own:
            assert after.fields[key].contents() == field.contents(), key
            assert after.fields[key].types == field.types, key
    assert [t.name for t in after.tensors] == [t.name for t in before.tensors]
    for old, new in zip(before.tensors, after.tensors):
        assert new.tensor_type == gguf.GGMLQuantizationType.F32
        assert list(new.shape) == list(old.shape)
        assert np.array_equal(new.data, gguf.quants.dequantize(old.data, old.tensor_type))
