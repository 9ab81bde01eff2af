"""What the checks of tools/ share: the files of the checkout, findings, and the exceptions to them.

tools/check_exceptions.txt holds one exception a line: `rule path` or `rule path value`. It may only
shrink: an exception that nothing needs any more, or that allows more than is needed, is a finding.
"""
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = "tools/check_exceptions.txt"
GENERATED = {".git", ".cache", ".venv", "build", "models", "__pycache__"}


@dataclasses.dataclass(frozen=True)
class Finding:
    rule: str
    path: str
    line: int
    text: str
    value: int = 0  # how much, for rules with a limit

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text} [{self.rule}]"


def tracked(*patterns, root=ROOT):
    """Files that git tracks, or would on `git add`, by pattern (all without one)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode == 0:
        names = sorted(filter(None, done.stdout.split("\0")))
    else:  # no repository: everything that was not made here
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*")
                       if not GENERATED.intersection(path.relative_to(root).parts))
    paths = map(Path, names)
    return [path.as_posix() for path in paths if (root / path).is_file()
            and (not patterns or any(path.match(pattern) for pattern in patterns))]


def cpp_files(root=ROOT):
    return tracked("*.cpp", "*.h", "*.cu", "*.cuh", root=root)


def find_nvcc():
    return shutil.which("nvcc", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin")


def parse_exceptions(text):
    """{(rule, path): value}"""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    return {(words[0], words[1]): int(words[2]) if len(words) > 2 else 0
            for words in lines if words}


def exceptions(root=ROOT):
    file = root / EXCEPTIONS
    return parse_exceptions(file.read_text()) if file.is_file() else {}


def judge(findings, rules, allowed):
    """What no exception covers, and one finding for each exception that is wider than needed."""
    worst = {}
    for finding in findings:
        key = (finding.rule, finding.path)
        worst[key] = max(worst.get(key, 0), finding.value)
    rest = [finding for finding in findings
            if (finding.rule, finding.path) not in allowed
            or finding.value > allowed[finding.rule, finding.path]]
    for (rule, path), value in allowed.items():
        if rule in rules and (rule, path) not in worst:
            rest.append(Finding(rule, EXCEPTIONS, 1, f"nothing needs '{rule} {path}' any more"))
        elif rule in rules and value > worst[rule, path]:
            needed = worst[rule, path]
            rest.append(Finding(rule, EXCEPTIONS, 1, f"'{rule} {path} {value}' can be {needed}"))
    return rest


def report(findings, rules):
    """Prints what is left of the findings and ends the program."""
    rest = judge(findings, rules, exceptions())
    for finding in sorted(rest, key=lambda found: (found.path, found.line, found.rule)):
        print(finding)
    sys.exit(1 if rest else 0)
