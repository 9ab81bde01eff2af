"""Scripts in processes of their own, with streaming on as the tests have it."""
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
BEGIN = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import torch
from conftest import MIB, make_streamer
from models import WIDTH, homes, network, resident_twin
from spillway.torch import loading
device = torch.device(sys.argv[1])

def begin(hbm_bytes=0):
    streamer = make_streamer(device, hbm_bytes, 512 * MIB)
    loading.install(streamer)
    return streamer
"""


def run_script(folder, text, *words, **variables):
    """What the script said and how it ended. It may define functions that its workers import."""
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run([sys.executable, script, *map(str, words)], text=True, timeout=300,
                          env={**os.environ, **variables}, capture_output=True, cwd=folder)


def run_streaming(folder, device, text):
    """After BEGIN; begin() switches streaming on."""
    return run_script(folder, BEGIN + text, device)


def assert_done(done, stdout="done\n"):
    """It ended well, and said that and nothing else."""
    assert (done.returncode, done.stdout, done.stderr) == (0, stdout, ""), \
        f"it ended with {done.returncode}, wrote\n{done.stdout}\nand to stderr\n{done.stderr}"
