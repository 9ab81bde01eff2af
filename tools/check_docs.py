#!/usr/bin/env python3
"""Holds the documents against the checkout: what they name must be there.

Paths in backticks exist; `make X` is a target of the Makefile; `spillway X` is a subcommand and its
--options are options of the program; tools that code blocks call exist; no path of one machine; a
code block that names a file behind its language is that file, and every example is in such a block.
"""
import re
from pathlib import Path

import house
from house import Finding

RULES = {"doc-path", "doc-make", "doc-command", "doc-host", "doc-file"}
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "docs/*.md")
MADE_LATER = ("build/", "models/", ".venv/", ".cache/")  # what the tools make
CODE_SPAN = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^\s*```")
FILE_FENCE = re.compile(r"^```\w+ (\S+)$")  # ```cpp examples/memory/region.cpp
EXAMPLES = ("examples/*/*.c", "examples/*/*.cpp", "examples/*/*.cu", "examples/*/*.txt")
EXTENSION = re.compile(r"\.(md|cpp|h|cu|py|txt|json|toml|sh)$")
HOST_PATH = re.compile(r"(?<![\w.])/(work|tmp|root|home)(/|\b)")
COMMAND = re.compile(r"(?:^|[\s/$`])(make|spillway)\s+([A-Za-z][\w-]*)(.*)")
EVERYWHERE = {"--help", "--version"}  # CLI11's own
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")


def code_parts(text):
    """Yields (line number, code) for each backtick span and each line of a code block, except for
    blocks that are a file."""
    fenced = whole_file = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced, whole_file = not fenced, bool(FILE_FENCE.match(line))
        elif whole_file:
            continue
        elif fenced:
            yield number, line
        else:
            yield from ((number, span) for span in CODE_SPAN.findall(line))


def file_blocks(text):
    """Yields (line number, file, its text) for each code block that names its file."""
    number, lines = 0, None
    for here, line in enumerate(text.splitlines(), 1):
        if lines is None and (found := FILE_FENCE.match(line)):
            number, name, lines = here, found[1], []
        elif lines is not None and FENCE.match(line):
            yield number, name, "".join(f"{code}\n" for code in lines)
            lines = None
        elif lines is not None:
            lines.append(line)


def check_file_blocks(document, text, root, shown):
    for number, name, block in file_blocks(text):
        shown.add(name)
        if not (root / name).is_file():
            yield Finding("doc-path", document, number, f"there is no {name}")
        elif (root / name).read_text() != block:
            yield Finding("doc-file", document, number, f"is not what {name} has")


def braces(word):
    """a/{b,c} as a/b and a/c."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", word)
    if not found:
        return [word]
    return [whole for part in found[1].split(",")
            for whole in braces(word[:found.start()] + part.strip() + word[found.end():])]


def is_path(word, root):
    if re.search(r"[\s=:$@|()\"'\\]", word) or word.startswith(("/", "-", "~", "http")):
        return False
    first = word.removeprefix("./").split("/")[0]
    return "/" in word and (root / first).is_dir() or bool(EXTENSION.search(word))


def exists(word, root, document):
    pattern = re.sub(r"<[^>]*>|…|\.\.\.", "*", word.removeprefix("./")).rstrip("/")
    if pattern.startswith(tuple(MADE_LATER)):
        return True
    return any(next(folder.glob(pattern), None) for folder in (root, (root / document).parent))


def check_paths(document, number, code, root):
    words = [code] if not re.search(r"\s", code) else code.split()
    for word in words:
        for path in braces(word.strip(",;")):
            if is_path(path, root) and not exists(path, root, document):
                yield Finding("doc-path", document, number, f"there is no {path}")


class Program:
    """What the Makefile and the command line offer, as their sources say."""

    def __init__(self, root):
        makefile = root / "Makefile"
        text = makefile.read_text() if makefile.is_file() else ""
        self.make_targets = set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))
        sources = [path for path in (root / "apps").rglob("*") if path.suffix in {".cpp", ".h"}]
        self.source = "\n".join(path.read_text() for path in sources)


def check_commands(document, number, code, program):
    found = COMMAND.search(code)
    if not found:
        return
    name, word, rest = found.groups()
    if name == "make" and word not in program.make_targets:
        yield Finding("doc-make", document, number, f"the Makefile has no target {word}")
    if name == "spillway" and program.source:
        if word.islower() and f'"{word}"' not in program.source:
            yield Finding("doc-command", document, number, f"spillway has no subcommand {word}")
        for option in OPTION.findall(rest.split(" | ")[0]):
            given = option in EVERYWHERE or re.search(rf'[",]{option}[",]', program.source)
            if not given:
                yield Finding("doc-command", document, number, f"spillway has no option {option}")


def check(root):
    findings, program, shown = [], Program(root), set()
    for document in house.tracked(*DOCUMENTS, root=root):
        if "/" in document and not document.startswith("docs/"):
            continue
        text = (root / document).read_text()
        for number, line in enumerate(text.splitlines(), 1):
            if HOST_PATH.search(line):
                findings.append(Finding("doc-host", document, number, "a path of one machine"))
        findings += check_file_blocks(document, text, root, shown)
        for number, code in code_parts(text):
            findings += check_paths(document, number, code, root)
            findings += check_commands(document, number, code, program)
    for name in sorted(set(house.tracked(*EXAMPLES, root=root)) - shown):
        findings.append(Finding("doc-file", name, 1, "no document shows this example"))
    return findings


if __name__ == "__main__":
    house.report(check(house.ROOT), RULES)
