"""spillway quantize: a model in another format, complete or not at all."""
import json
import resource
import signal

import numpy as np
import pytest

gguf = pytest.importorskip("gguf")

USAGE, BAD_FILE, BUDGET, MACHINE, INTERRUPTED = 2, 3, 4, 5, 130
MIB = 1 << 20


def quantize(spillway, *arguments):
    run = spillway.run("quantize", *arguments)
    assert run.code == 0, run
    return run


def types(spillway, model):
    described = json.loads(spillway.run("inspect", model, "--json").out)
    return {one["name"]: one["type"] for one in described["tensors"]}, described["metadata"]


def check_untouched(path, content):
    """The file is as it was, and nothing lies beside it."""
    assert path.read_bytes() == content
    assert [one for one in path.parent.iterdir() if "draft" in one.name] == []


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "F16", "BF16"])
def test_values_are_those_that_the_gguf_package_makes(spillway, stories, tmp_path, kind):
    out = tmp_path / "out.gguf"
    quantize(spillway, stories, out, kind, "--pure")
    source = {one.name: one for one in gguf.GGUFReader(stories).tensors}
    target = gguf.GGUFReader(out)
    assert len(target.tensors) == len(source)
    changed = 0
    for tensor in target.tensors:
        values = source[tensor.name].data
        if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            assert np.array_equal(tensor.data, values), tensor.name
        else:
            wanted = gguf.quants.quantize(values, tensor.tensor_type)
            assert np.array_equal(tensor.data.view(np.uint8), wanted.view(np.uint8)), tensor.name
            changed += tensor.tensor_type.name == kind
    assert changed > 10
    keys = gguf.GGUFReader(stories).fields.keys() | {"general.quantization_version"}
    assert target.fields.keys() == keys


def test_a_text_stays_the_same_where_hardly_a_bit_is_lost(spillway, stories, tmp_path):
    out = tmp_path / "out.gguf"
    quantize(spillway, stories, out, "q8_0")
    texts = [spillway.run("run", model, "Once upon a time", "--raw", "-n", "40").out
             for model in (stories, out)]
    assert texts[0] == texts[1] and len(texts[0]) > 50


def test_mixtures_and_what_is_said(spillway, model, tmp_path):
    """SmolLM2's rows of 576 are no whole blocks of 256: Q5_0 stands in, as with llama.cpp."""
    out = tmp_path / "out.gguf"
    run = quantize(spillway, model, out, "Q4_K_M", "--allow-requantize", "--dry-run")
    assert not out.exists() and "nothing was written" in run.err
    assert "Q5_0" in run.err and "Q6_K" in run.err and "Q8_0" in run.err, run
    run = quantize(spillway, model, out, "Q4_K_M", "--allow-requantize", "--host-budget", "24MiB")
    assert run.peak_rss < 25 * MIB, run
    found, metadata = types(spillway, out)
    assert found["token_embd.weight"] == "Q8_0" and found["blk.9.attn_q.weight"] == "Q5_0"
    assert found["blk.0.ffn_down.weight"] == "Q6_K" and found["blk.4.ffn_down.weight"] == "Q4_K"
    assert found["blk.0.attn_norm.weight"] == "F32" and metadata["general.file_type"] == 15
    answer = spillway.run("run", out, "What is the capital of France?", "-n", "24")
    assert "Paris" in answer.text, answer


def test_refusals(spillway, stories, model, tmp_path, check_error):
    out = tmp_path / "out.gguf"
    check_error(spillway.run("quantize", stories, out, "Q9"), USAGE, "Q9", "Q4_K_M")
    check_error(spillway.run("quantize", model, out, "Q4_0"), USAGE, "Q4_1", "--allow-requantize")
    check_error(spillway.run("quantize", tmp_path / "no.gguf", out, "Q4_0"), BAD_FILE, "no such")
    check_error(spillway.run("quantize", __file__, out, "Q4_0"), BAD_FILE, "no GGUF file")
    check_error(spillway.run("quantize", stories, tmp_path / "no" / "a", "Q4_0"), USAGE, "created")
    check_error(spillway.run("quantize", stories, out, "Q4_0", "--host-budget", "1MiB"), BUDGET)
    run = spillway.run("quantize", stories, out, "Q4_0", "--host-budget", "10.2MiB")
    check_error(run, BUDGET, "raise the budget")
    assert list(tmp_path.glob("out*")) == []


def test_what_is_there_stays_until_the_new_file_is_complete(spillway, stories, tmp_path,
                                                            check_error):
    out = tmp_path / "out.gguf"
    out.write_bytes(b"precious")
    check_error(spillway.run("quantize", stories, out, "Q8_0"), USAGE, "--force")
    check_untouched(out, b"precious")
    broken = tmp_path / "nan.gguf"
    content = bytearray(stories.read_bytes())
    at = next(one.data_offset for one in gguf.GGUFReader(stories).tensors
              if one.name == "blk.0.attn_q.weight")
    content[at:at + 4] = b"\x00\x00\xc0\x7f"
    broken.write_bytes(content)
    check_error(spillway.run("quantize", broken, out, "Q8_0", "--force"), BAD_FILE, "not a number")
    check_untouched(out, b"precious")
    quantize(spillway, stories, out, "Q8_0", "--force")
    assert out.stat().st_size > 100_000
    quantize(spillway, out, out, "F32", "--force", "--allow-requantize")  # onto itself
    assert types(spillway, out)[0]["blk.0.attn_q.weight"] == "F32"


def test_a_full_disk(program, stories, tmp_path):
    """A limit on the size of files stands in for the end of the disk."""
    import subprocess
    out = tmp_path / "out.gguf"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    done = subprocess.run([program, "quantize", stories, out, "F16"], preexec_fn=limit,
                          capture_output=True, text=True)
    assert done.returncode == MACHINE and "not all of it could be written" in done.stderr, done
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(spillway, model, tmp_path):
    out = tmp_path / "out.gguf"
    process = spillway.start("quantize", model, out, "Q6_K", "--allow-requantize")
    process.wait_until(lambda process: "[   2/" in process.read_err())
    process.send(signal.SIGINT)
    run = process.wait()
    assert run.code == INTERRUPTED, run
    assert list(tmp_path.glob("out*")) == []
