"""A memory cgroup with a hard limit, of version 1 or 2. Needs root."""
import contextlib
import os
import time
from pathlib import Path

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


def why_missing():
    """None where groups can be made, else the reason why not."""
    if os.geteuid() != 0:
        return "memory groups need root"
    if not (is_v1() or is_v2()):
        return f"no memory controller at {V1} (version 1) or {V2} (version 2)"
    try:
        with group(64 << 20):
            return None
    except OSError as error:
        return f"memory groups cannot be made here: {error}"


def is_v1():
    return (V1 / "memory.limit_in_bytes").exists()


def is_v2():
    controllers = V2 / "cgroup.controllers"
    return controllers.exists() and "memory" in controllers.read_text().split()


class Group:
    """The folder of one group; files differ by version."""

    def __init__(self, folder, v1):
        self.folder, self.v1 = folder, v1

    def limit(self, size):
        if self.v1:
            self.write("memory.limit_in_bytes", size)
            return
        self.write("memory.max", size)
        with contextlib.suppress(OSError):
            self.write("memory.swap.max", 0)

    def prefix(self):
        """Of a command line that is to run in the group."""
        return ["sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh"]

    def times_at_limit(self):
        """How often the group's memory met the limit: reclaim or worse followed."""
        if self.v1:
            return int(self.read("memory.failcnt"))
        events = dict(line.split() for line in self.read("memory.events").splitlines())
        return int(events["max"])

    def peak(self):
        with contextlib.suppress(OSError):  # memory.peak came late
            return int(self.read("memory.max_usage_in_bytes" if self.v1 else "memory.peak"))
        return 0

    def read(self, name):
        return (self.folder / name).read_text()

    def write(self, name, value):
        (self.folder / name).write_text(str(value))


@contextlib.contextmanager
def group(limit):
    v1 = is_v1()
    if not v1:
        (V2 / "cgroup.subtree_control").write_text("+memory")
    folder = (V1 if v1 else V2) / f"spillway-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    try:
        made = Group(folder, v1)
        made.limit(limit)
        yield made
    finally:
        remove(folder)


def remove(folder):
    for _ in range(100):  # the kernel needs a moment after the last process
        try:
            folder.rmdir()
            return
        except OSError:
            time.sleep(0.02)
    folder.rmdir()
