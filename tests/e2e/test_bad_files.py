"""Files that are no model: a clear error and exit code 3, and nothing hangs."""
import os
import shutil
import struct
import subprocess

import pytest

from gguf_layout import read_layout

BAD_FILE = 3
COMMANDS = ["run", "inspect", "plan", "tokenize", "perplexity"]
SECONDS = 10


def call(spillway, command, path, **options):
    text = ["x"] if command in ("run", "tokenize") else []
    if command == "perplexity":
        text = [__file__]
    return spillway.run(command, path, *text, seconds=SECONDS, **options)


@pytest.mark.parametrize("command", COMMANDS)
def test_missing(spillway, tmp_path, check_error, command):
    path = tmp_path / "nowhere.gguf"
    check_error(call(spillway, command, path), BAD_FILE, path, "no such file")


@pytest.mark.parametrize("command", COMMANDS)
def test_directory(spillway, tmp_path, check_error, command):
    check_error(call(spillway, command, tmp_path), BAD_FILE, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_fifo(spillway, tmp_path, check_error, command):
    """Nobody writes into it: opening it the plain way would wait for ever."""
    path = tmp_path / "fifo.gguf"
    os.mkfifo(path)
    check_error(call(spillway, command, path), BAD_FILE, path)


def test_pipe(spillway, check_error, model):
    with subprocess.Popen(["cat", model], stdout=subprocess.PIPE) as cat:
        run = call(spillway, "run", "/dev/stdin", stdin=cat.stdout)
        cat.stdout.close()
    check_error(run, BAD_FILE, "/dev/stdin")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/proc/self/mem"])
def test_devices(spillway, check_error, path):
    check_error(call(spillway, "run", path), BAD_FILE, path)


def test_unreadable(program, tmp_path, check_error):
    """As user nobody, because chmod does not bar root."""
    from spillway_runner import Spillway
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if not shutil.which("setpriv"):
            pytest.skip("runs as root and has no setpriv: chmod does not bar root")
        if subprocess.run([*prefix, "test", "-x", program], check=False).returncode:
            pytest.skip(f"user nobody may not run {program}")
    path = tmp_path / "secret.gguf"
    path.write_bytes(b"GGUF")
    path.chmod(0)
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    check_error(call(Spillway(program, tmp_path / "run", prefix), "run", path), BAD_FILE, path,
                "permission denied")


NOT_MODELS = {
    "empty": b"",
    "text": b"This is no model.\n" * 100,
    "other magic": b"GGML" + bytes(200),
    "magic alone": b"GGUF",
    "version 1": b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(200),
    "version 99": b"GGUF" + struct.pack("<IQQ", 99, 0, 0) + bytes(200),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(200),
    "no tensors": b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(200),
    "a million million keys": b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40) + bytes(200),
    "a huge string": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62) + bytes(200),
}


@pytest.mark.parametrize("name", NOT_MODELS)
def test_not_a_model(spillway, tmp_path, check_error, name):
    path = tmp_path / "broken.gguf"
    path.write_bytes(NOT_MODELS[name])
    run = call(spillway, "run", path)
    check_error(run, BAD_FILE, path)
    assert run.peak_rss < 64 << 20, run


def cuts(model):
    layout = read_layout(model)
    half = (layout.data + layout.size) // 2
    return [3, 4, 12, 24, 100, layout.tensor_table // 2, layout.tensor_table,
            layout.tensor_table + 9, layout.data - 1, layout.data, layout.data + 1, half,
            layout.size - 64]


@pytest.mark.parametrize("number", range(13))
def test_truncated(spillway, model, tmp_path, check_error, number):
    path = tmp_path / "short.gguf"
    shutil.copyfile(model, path)
    os.truncate(path, cuts(model)[number])
    for command in ("run", "plan"):
        check_error(call(spillway, command, path), BAD_FILE, path)


def test_unknown_architecture(spillway, model, tmp_path, check_error):
    """The architecture's name is changed in place: a model of a family that is not known."""
    path = tmp_path / "other.gguf"
    data = bytearray(model.read_bytes())
    at = data.index(b"general.architecture") + 20 + 4 + 8
    assert data[at:at + 5] == b"llama"
    data[at:at + 5] = b"zebra"
    path.write_bytes(data)
    check_error(call(spillway, "run", path), BAD_FILE, "zebra")
