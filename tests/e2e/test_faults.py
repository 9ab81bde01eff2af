"""Kills, interrupts, full disks, files that shrink: the program ends cleanly, with a reason."""
import os
import shutil
import signal
import subprocess

import pytest

QUESTION = "Write a long story about a mountain."
BAD_FILE, MACHINE, INTERRUPTED = 3, 5, 130
LONG = ["--context", "2048", "-n", "1500", "--host-budget", "80MiB"]


def start(spillway, model, *arguments, text=QUESTION):
    return spillway.start("run", model, text, *LONG, *arguments)


def test_kill_leaves_nothing_behind(spillway, model):
    shared_before = set(os.listdir("/dev/shm"))
    process = start(spillway, model)
    process.wait_for_text(8)
    process.send(signal.SIGKILL)
    assert process.wait(5).code == -signal.SIGKILL
    assert subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True).stdout == b""
    assert set(os.listdir("/dev/shm")) == shared_before
    left = [path for path in spillway.folder.rglob("*")
            if path.is_file() and ".cache" not in path.parts]
    assert left == []
    assert spillway.generate(model, QUESTION, "-n", "4").code == 0


def test_interrupt_while_generating(spillway, model):
    process = start(spillway, model)
    process.wait_for_text(20)
    process.send(signal.SIGINT)
    run = process.wait(2)
    assert run.code == INTERRUPTED, run
    check_ends_cleanly(run)
    assert "tokens/s" in run.err.rstrip("\n").splitlines()[-1], run


def test_interrupt_while_reading_the_prompt(spillway, model):
    process = spillway.start("run", model, "All work and no play. " * 1000, "--context", "8192",
                             "-n", "4", "--host-budget", "256MiB", "--weights-budget", "30MiB")
    process.wait_until(lambda it: it.process.poll() is not None or it.peak_rss > 16 << 20)
    process.send(signal.SIGINT)
    run = process.wait(2)
    assert run.code == INTERRUPTED, run
    check_ends_cleanly(run)


def check_ends_cleanly(run):
    assert run.err.endswith("\n") and "\r" not in run.err.splitlines()[-1], run
    run.out.decode()  # no character cut in two


def test_interrupted_run_still_writes_stats(spillway, model, tmp_path):
    import json
    process = start(spillway, model, "--stats", tmp_path / "stats.json")
    process.wait_for_text(20)
    process.send(signal.SIGINT)
    assert process.wait(2).code == INTERRUPTED
    assert json.loads((tmp_path / "stats.json").read_text())["token_ids"]


@pytest.mark.parametrize("flag", ["--stats", "--dump-logits"])
def test_full_disk_under_a_file(spillway, model, flag):
    run = spillway.run("run", model, QUESTION, "-n", "2", flag, "/dev/full")
    assert run.code == MACHINE, run
    assert "/dev/full" in run.err and "no space" in run.err.lower(), run


@pytest.mark.parametrize("flag", ["--stats", "--dump-logits"])
def test_missing_folder_is_found_before_the_run(spillway, model, tmp_path, check_error, flag):
    path = tmp_path / "nowhere" / "file"
    run = spillway.run("run", model, QUESTION, "-n", "2", flag, path, seconds=30)
    check_error(run, (2, MACHINE), path)


def test_full_disk_under_stdout(spillway, model):
    with open("/dev/full", "wb") as full:
        run = spillway.run("run", model, QUESTION, "-n", "4", stdout=full)
    assert run.code == MACHINE, run


def test_reader_of_stdout_goes_away(spillway, model):
    read, write = os.pipe()
    process = spillway.start("run", model, QUESTION, *LONG, stdout=write)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    run = process.wait(30)
    assert run.code in (MACHINE, -signal.SIGPIPE), run


@pytest.mark.parametrize("keep", [0, 1 << 20, 50 << 20])
@pytest.mark.parametrize("budget", ["56MiB", "1GiB"])
def test_file_truncated_while_running(spillway, model, tmp_path, budget, keep):
    """Streamed weights: an error. Weights that are all in memory: the answer, or the same error."""
    path = tmp_path / "shrinking.gguf"
    shutil.copyfile(model, path)
    process = spillway.start("run", path, QUESTION, "--context", "2048", "-n", "300",
                             "--host-budget", budget)
    process.wait_for_text(8)
    os.truncate(path, keep)
    run = process.wait(60)
    streamed = budget == "56MiB"
    assert run.code in ((BAD_FILE, MACHINE) if streamed else (0, BAD_FILE, MACHINE)), run
    if run.code:
        assert str(path) in run.err, run


def test_file_deleted_while_running(spillway, model, tmp_path):
    """Its bytes live as long as it is open: nothing happens."""
    path = tmp_path / "deleted.gguf"
    shutil.copyfile(model, path)
    process = spillway.start("run", path, QUESTION, "-n", "24", "--host-budget", "56MiB")
    process.wait_for_text(8)
    path.unlink()
    assert process.wait(60).code == 0
