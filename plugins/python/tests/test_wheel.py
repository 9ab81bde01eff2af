"""`pip install ./plugins/python` gives a package that finds its own library. Slow: builds it."""
import os
import subprocess
import venv
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[1]
SAYS = """
import sys
from pathlib import Path
from spillway import library
pool = library.Pool(library.Library(), hbm_budget=1 << 25, host_budget=1 << 25,
                    simulated_bytes=1 << 26)
assert pool.host_region(4096, "some").address
assert Path(library.__file__).is_relative_to(sys.prefix), library.__file__
assert (Path(library.__file__).parent / "py.typed").is_file()
"""


@pytest.mark.slow
def test_the_wheel_builds_and_imports_where_nothing_else_is(tmp_path):
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    PLUGIN], check=True)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("PYTHONPATH", "SPILLWAY_LIBRARY")}
    subprocess.run([python, "-c", SAYS], check=True, cwd=tmp_path, env=environment)
