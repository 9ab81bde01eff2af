"""What the kernel has been told about memory."""
import re
from pathlib import Path


def wants_huge_pages(address):
    """True as well where the kernel has none."""
    if not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists():
        return True
    inside = False
    for line in open("/proc/self/smaps"):
        if (found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    return False
