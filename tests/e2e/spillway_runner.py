"""Runs the spillway program and watches it from outside: exit code, memory, bytes read from disk.

The program is $SPILLWAY_BIN, else build/release/bin/spillway, else build/dev/bin/spillway.
$SPILLWAY_PATIENCE (1) multiplies every time limit: sanitizers are slow.
"""
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("SPILLWAY_PATIENCE", "1"))
SAMPLE_SECONDS = 0.005
MIB = 1 << 20


def find_program():
    """The program's path, or None where nothing is built."""
    named = os.environ.get("SPILLWAY_BIN")
    candidates = [Path(named)] if named else [
        ROOT / "build" / preset / "bin" / "spillway" for preset in ("release", "dev")]
    return next((path.resolve() for path in candidates if os.access(path, os.X_OK)), None)


@dataclasses.dataclass(repr=False)
class Run:
    """What a finished run left."""
    command: list
    code: int  # negative: the signal that killed it
    out: bytes
    err: str
    seconds: float
    peak_rss: int  # bytes: the most of VmRSS and VmHWM over all samples
    disk_read: int  # bytes, from /proc/PID/io
    stats: dict | None = None
    logits: object = None  # numpy array [positions, vocabulary]

    @property
    def text(self):
        return self.out.decode()

    def __str__(self):
        return (f"$ {' '.join(map(str, self.command))}\nexit code {self.code} after "
                f"{self.seconds:.2f} s\n--- stdout\n{self.out[-2000:].decode(errors='replace')}\n"
                f"--- stderr\n{self.err[-4000:]}")

    __repr__ = __str__  # what a failed assertion shows


class Hang(AssertionError):
    """The program did not end in time; it was killed."""


class Process:
    """A run under way. One thread; wait() ends it."""

    def __init__(self, command, folder, environment, stdin=None, stdout=None):
        self.command = [str(part) for part in command]
        self.out = tempfile.TemporaryFile() if stdout is None else stdout
        self.err = tempfile.TemporaryFile()
        self.own_out = stdout is None
        self.peak_rss = self.disk_read = 0
        self.begin = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=stdin or subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.err, cwd=folder,
                                        env=environment, start_new_session=True)
        self.pid = self.process.pid

    def sample(self):
        """Takes a sample of memory and disk; returns whether the process still runs."""
        try:
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(("VmRSS:", "VmHWM:")):
                    self.peak_rss = max(self.peak_rss, int(line.split()[1]) * 1024)
            for line in Path(f"/proc/{self.pid}/io").read_text().splitlines():
                if line.startswith("read_bytes:"):
                    self.disk_read = int(line.split()[1])
        except OSError:
            pass  # not ours to read (another user), or gone
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT  # its /proc/PID/io must outlive it
        return os.waitid(os.P_PID, self.pid, flags) is None

    def read_out(self):
        return read_all(self.out) if self.own_out else b""

    def read_err(self):
        return read_all(self.err).decode(errors="replace")

    def wait_until(self, condition, seconds=60):
        """Until condition(self) holds; fails where the process ends or hangs before."""
        end = time.monotonic() + seconds * PATIENCE
        while not condition(self):
            if not self.sample():
                raise AssertionError(f"ended too early: {self.wait()}")
            if time.monotonic() > end:
                self.kill()
                raise Hang(f"nothing came within {seconds * PATIENCE} s: {self.finish()}")
            time.sleep(SAMPLE_SECONDS)

    def wait_for_text(self, count=1):
        self.wait_until(lambda process: len(process.read_out()) >= count)

    def wait(self, seconds=120):
        end = time.monotonic() + seconds * PATIENCE
        while self.sample():
            if time.monotonic() > end:
                self.kill()
                raise Hang(f"still running after {seconds * PATIENCE} s: {self.finish()}")
            time.sleep(SAMPLE_SECONDS)
        return self.finish()

    def send(self, number):
        os.kill(self.pid, number)

    def kill(self):
        os.killpg(self.pid, signal.SIGKILL)

    def finish(self):
        if self.process.returncode is None:
            while self.sample():
                time.sleep(SAMPLE_SECONDS)
            self.sample()
        code = self.process.wait()
        return Run(self.command, code, self.read_out(), self.read_err(),
                   time.monotonic() - self.begin, self.peak_rss, self.disk_read)


class Spillway:
    """The program, run in `folder` with a home and, unless one is named, a cache of its own below
    it."""

    def __init__(self, program, folder, prefix=(), cache=None):
        self.program = program
        self.folder = Path(folder)
        self.prefix = list(prefix)  # of the command line: another user, a cgroup
        self.home = self.folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ, HOME=str(self.home),
                                XDG_CACHE_HOME=str(cache or self.home / ".cache"))
        self.count = 0

    def start(self, *arguments, stdin=None, stdout=None):
        command = [*self.prefix, self.program, *arguments]
        return Process(command, self.folder, self.environment, stdin, stdout)

    def run(self, *arguments, seconds=120, stdin=None, stdout=None):
        return self.start(*arguments, stdin=stdin, stdout=stdout).wait(seconds)

    def generate(self, model, text, *arguments, logits=False, seconds=300):
        """`spillway run` that must succeed; returns it with stats and, where asked, logits."""
        self.count += 1
        stats, dump = (self.folder / f"{self.count}.{kind}" for kind in ("json", "f32"))
        extra = ["--dump-logits", dump] if logits else []
        run = self.run("run", model, text, *arguments, "--stats", stats, *extra, seconds=seconds)
        assert run.code == 0, run
        run.stats = json.loads(stats.read_text())
        if logits:
            import numpy as np  # not at the top: hard_limit runs without packages
            rows = len(run.stats["prompt_token_ids"]) + len(run.stats["token_ids"]) - 1
            values = np.fromfile(dump, "<f4")
            assert rows > 0 and values.size % rows == 0, f"{values.size} floats, {rows} rows\n{run}"
            run.logits = values.reshape(rows, -1)
            dump.unlink()
        return run

    def json(self, *arguments):
        run = self.run(*arguments, "--json")
        assert run.code == 0, run
        return json.loads(run.out)


def read_all(file):
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def drop_from_page_cache(path):
    """Asks the kernel to forget the file's pages; returns how many bytes stayed, or None."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not shutil.which("fincore"):
        return None
    found = subprocess.run(["fincore", "-b", "-n", "-o", "RES", path], capture_output=True,
                           text=True)
    return int(found.stdout) if found.returncode == 0 and found.stdout.strip() else None
