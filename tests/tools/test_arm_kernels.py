"""The kernels for Arm compile where the tests run, which is rarely on Arm."""
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# The headers of other packages are the same for every architecture: behind those for Arm.
COMPILE = ["clang++", "--target=aarch64-linux-gnu", "-march=armv8.2-a+dotprod+i8mm", "-std=c++20",
           "-ffp-contract=off", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror",
           "-I", "src", "-I", "include", "-idirafter", "/usr/include", "-c", "-o", "/dev/null"]


@pytest.mark.skipif(not Path("/usr/aarch64-linux-gnu/include/c++").is_dir(),
                    reason="no libstdc++-12-dev-arm64-cross here: tools/setup test")
def test_kernels_for_arm_compile():
    sources = [*ROOT.glob("src/ops/cpu/arm/*.cpp"), ROOT / "src/platform/linux/arm_features.cpp"]
    assert len(sources) > 3

    def compile_one(source):
        return subprocess.run([*COMPILE, source], cwd=ROOT, capture_output=True, text=True)

    with ThreadPoolExecutor(2) as pool:
        for run in pool.map(compile_one, sources):
            assert run.returncode == 0, run.stderr
