"""Acceptance (b): the answer comes within a hard memory limit that the file itself exceeds."""
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent / "hard_limit"
SKIPPED = 77


@pytest.mark.parametrize("threads", [1, 2])
def test_hard_limit(program, threads):
    run = subprocess.run([sys.executable, SCRIPT, "--threads", str(threads)], capture_output=True,
                         text=True)
    if run.returncode == SKIPPED:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Everest" in run.stdout
