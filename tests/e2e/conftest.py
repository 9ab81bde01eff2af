"""What the end-to-end tests share: the program, the models, and what a clear error is."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "golden"))

import files
from spillway_runner import Spillway, find_program

CRASHES = ("terminate called", "Assertion", "CHECK failed", "Segmentation", "Sanitizer",
           "runtime error:", "std::")


@pytest.fixture(scope="session")
def program():
    found = find_program()
    if found is None:
        pytest.skip("no spillway program: build it, or name one in SPILLWAY_BIN")
    return found


@pytest.fixture(scope="session")
def rates(tmp_path_factory):
    """Where the machine's rates are kept: measured once, not in every test."""
    return tmp_path_factory.mktemp("rates")


@pytest.fixture
def spillway(program, tmp_path, rates):
    return Spillway(program, tmp_path / "run", cache=rates)


@pytest.fixture(scope="module")
def shared_spillway(program, tmp_path_factory, rates):
    """For module-wide baselines."""
    return Spillway(program, tmp_path_factory.mktemp("shared"), cache=rates)


@pytest.fixture(scope="session")
def model():
    if files.model() is None:
        pytest.skip(f"no {files.MODEL}; tools/model brings it")
    return files.model()


@pytest.fixture(scope="session")
def stories():
    if files.stories() is None:
        pytest.skip(f"no stories260K under {files.SHARED}")
    return files.stories()


def check_error(run, codes, *words):
    """The run refused: exit code, nothing on stdout, a message with the words, no crash."""
    codes = codes if isinstance(codes, tuple) else (codes,)
    assert run.code in codes, run
    assert run.out == b"", run
    assert run.err.strip() and run.err.endswith("\n"), run
    for word in words:
        assert str(word).lower() in run.err.lower(), f"no '{word}' in the message\n{run}"
    for crash in CRASHES:
        assert crash not in run.err, run


@pytest.fixture(name="check_error")
def check_error_fixture():
    return check_error
