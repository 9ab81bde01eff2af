"""Runs that others did not disturb: the processor time that other processes took meanwhile is known
from /proc/stat, and a run that lost more than a little of it is done again."""
import os
import resource
import sys
import time

MOST_SHARE = 0.04  # of one core, that others may have taken
TRIES = 8
TICKS = os.sysconf("SC_CLK_TCK")


def _busy_seconds():
    fields = [int(field) for field in open("/proc/stat").readline().split()[1:9]]
    idle, waiting = fields[3:5]
    return (sum(fields) - idle - waiting) / TICKS


def _own_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def wait_for_idle(seconds=120):
    """Until a third of a second passes in which nearly nothing runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = _busy_seconds()
        time.sleep(0.3)
        if _busy_seconds() - before <= 0.03:
            return


def undisturbed(run):
    """What run() returns. It waits for its child processes."""
    for _ in range(TRIES):
        wait_for_idle()
        begin, busy, own = time.monotonic(), _busy_seconds(), _own_seconds()
        found = run()
        others = _busy_seconds() - busy - (_own_seconds() - own)
        share = others / (time.monotonic() - begin)
        if share <= MOST_SHARE:
            return found
    print(f"disturbed: others took {share:.2f} of a core", file=sys.stderr)
    return found
