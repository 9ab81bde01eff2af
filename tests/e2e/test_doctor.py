"""What the program says about the machine that it runs on, and what will hurt there."""
import os
import sys
from pathlib import Path

import pytest

from spillway_runner import Spillway

USAGE = 2
SEVERITIES = {"broken", "cost", "note"}
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# prctl(PR_SET_THP_DISABLE), then the program.
WITHOUT_HUGE_PAGES = ("import ctypes, os, sys\n"
                      "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)\n"
                      "os.execv(sys.argv[1], sys.argv[1:])")


@pytest.fixture(scope="module")
def machine(shared_spillway):
    return shared_spillway.json("machine")


def test_doctor_for_programs(spillway):
    for finding in spillway.json("doctor")["findings"]:
        assert set(finding) == {"name", "severity", "what", "why", "mend"}
        assert finding["severity"] in SEVERITIES
        assert finding["what"] and finding["why"]


def test_doctor_for_people_says_the_same(spillway):
    findings = spillway.json("doctor")["findings"]
    run = spillway.run("doctor")
    assert run.code == 0 and run.err == "", run
    for finding in findings:
        assert f"{finding['name']} ({finding['severity']}): " in run.text, run
        assert finding["mend"] in run.text, run
    assert ("nothing on this machine hurts" in run.text) == (not findings), run


@pytest.mark.skipif(not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(),
                    reason="no huge pages here")
def test_doctor_finds_huge_pages_taken_away(program, tmp_path):
    without = Spillway(program, tmp_path, [sys.executable, "-c", WITHOUT_HUGE_PAGES])
    found = {finding["name"]: finding for finding in without.json("doctor")["findings"]}
    assert "THP_enabled: 0" in found["huge-pages"]["what"]
    assert without.run("doctor").code == 0


@pytest.mark.parametrize("arguments", [
    ["doctor", "now"], ["doctor", "--all"], ["machine", "a", "b"], ["machine", "--jason"]])
def test_wrong_usage(spillway, check_error, arguments):
    check_error(spillway.run(*arguments, seconds=10), USAGE)


def test_doctor_helps(spillway):
    run = spillway.run("doctor", "--help", seconds=10)
    assert run.code == 0 and "--json" in run.text, run


def test_machine_reports_memory(machine):
    memory = machine["memory"]
    known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert memory["total_bytes"] == int(known["MemTotal"].split()[0]) * 1024
    assert 0 < memory["free_bytes"] <= memory["available_bytes"] <= memory["total_bytes"]
    assert (memory["cgroup_limit_bytes"] is None) == (memory["cgroup_usage_bytes"] is None)


def test_machine_reports_pages_and_limits(machine):
    host = machine["host"]
    assert host["page_bytes"] == os.sysconf("SC_PAGE_SIZE")
    assert host["kernel"] == os.uname().release
    assert host["lock_limit_bytes"] == "unlimited" or host["lock_limit_bytes"] >= 0
    if HUGE_PAGES.exists():
        assert f"[{host['huge_pages']}]" in HUGE_PAGES.read_text()


def test_machine_reports_its_nodes(machine):
    folder = Path("/sys/devices/system/node")
    ids = sorted(int(path.name[4:]) for path in folder.glob("node[0-9]*"))
    nodes = machine["host"]["numa_nodes"]
    assert [node["id"] for node in nodes] == ids
    for node in nodes:
        assert node["cpus"] == (folder / f"node{node['id']}" / "cpulist").read_text().strip()
        assert node["total_bytes"] >= node["available_bytes"] >= node["cache_bytes"]


def test_machine_tells_people_too(shared_spillway, machine):
    text = shared_spillway.run("machine").text
    for word in ("available", "cgroup", "huge pages", "ulimit -l", "kernel", "GPU"):
        assert word in text, text
    assert machine["host"]["kernel"] in text
