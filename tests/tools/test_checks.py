"""The checks of tools/ find what they are there to find, in small checkouts made for it."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import check_docs
import check_layers
import check_sizes
import house

HEADER = "// What it is.\n#pragma once\n"


@pytest.fixture
def checkout(tmp_path):
    """Writes files below a folder and runs a check there; returns the rules that were broken."""
    def run(check, files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return [finding.rule for finding in check(tmp_path)]
    return run


def layers(**files):
    """Two layers, low and high (which uses low), and files by path with / written as __."""
    return {"src/CMakeLists.txt": "foreach(layer low high)\nendforeach()\n",
            "src/low/CMakeLists.txt": "spillway_layer(low)\n",
            "src/high/CMakeLists.txt": "spillway_layer(high USES low LINKS fmt::fmt)\n",
            **{f"{name.replace('__', '/')}.cpp": text for name, text in files.items()}}


@pytest.mark.parametrize("path, code, rules", [
    ("src__high__a", '#include "low/b.h"\n', []),
    ("src__low__a", '#include "low/b.h"\n', []),
    ("src__low__a", '#include "high/b.h"\n', ["layer-use"]),
    ("src__low__a", '#include "cli/b.h"\n', ["layer-use"]),
    ("src__low__a", '#include "../high/b.h"\n', ["layer-include"]),
    ("src__low__a", '#include <low/b.h>\n', ["layer-include"]),
    ("src__low__a", '#include "b.h"\n', ["layer-include"]),
    ("src__low__a", "#include <unistd.h>\n", ["layer-word"]),
    ("src__low__a", 'auto x = getenv("HOME");\n', ["layer-word"]),
    ("src__low__a", "// getenv() belongs to base\n", []),
    ("src__a", "", ["layer-order"]),
    ("apps__cli__a", '#include "high/b.h"\n#include "cli/c.h"\n', []),
    ("apps__cli__a", '#include "server/c.h"\n', ["layer-use"]),
])
def test_layers(checkout, path, code, rules):
    apps = {"apps__cli__main": "", "apps__server__main": ""}
    assert checkout(check_layers.check, layers(**{**apps, path: code})) == rules


@pytest.mark.parametrize("path, text", [
    ("src/low/CMakeLists.txt", "spillway_layer(low USES high)\n"),
    ("src/low/CMakeLists.txt", "spillway_layer(other)\n"),
    ("src/third/CMakeLists.txt", "spillway_layer(third)\n"),
])
def test_declarations(checkout, path, text):
    assert checkout(check_layers.check, {**layers(), path: text}) == ["layer-order"]


@pytest.mark.parametrize("path, text, rules", [
    ("src/a.h", HEADER, []),
    ("src/a.h", "#pragma once\n", ["first-line"]),
    ("src/a.h", "// What it is.\n", ["pragma-once"]),
    ("src/a.h", HEADER + "\n" * 298, []),
    ("src/a.h", HEADER + "\n" * 299, ["file-length"]),
    ("src/a.cpp", "é" * 100 + "\n", []),
    ("src/a.cpp", "x" * 101 + "\n", ["columns"]),
    ("src/a.cpp", "// TO" "DO: more\n", ["leftover"]),
    ("src/a.cpp", "f();  // NOL" "INT\n", ["nolint"]),
    ("src/a.cpp", "f();  // NOL" "INT(bugprone-x)\n", ["nolint"]),
    ("src/a.cpp", "f();  // NOL" "INT(bugprone-x): it is so\n", []),
    ("tools/a", "cd /ho" "me/me\n", ["host-path"]),
    ("litter/file", "", ["top-level"]),
])
def test_sizes(checkout, path, text, rules):
    assert checkout(check_sizes.check, {path: text}) == rules


@pytest.mark.parametrize("line, rules", [
    ("`src/low/` and `tools/setup`, `src/{low,high}/CMakeLists.txt`, `src/<layer>/`", []),
    ("`src/gone.cpp`", ["doc-path"]),
    ("`src/{low,gone}/`", ["doc-path"]),
    ("`and/or` `build/release/bin/spillway` `/proc/self/io` `a.gguf`", []),
    ("`make answer`", []),
    ("`make coffee`", ["doc-make"]),
    ("`spillway run MODEL --seed 1`", []),
    ("`spillway walk`", ["doc-command"]),
    ("`spillway run --speed 1`", ["doc-command"]),
    ("```sh\nmake coffee\n```", ["doc-make"]),
    ("see /tm" "p/x", ["doc-host"]),
])
def test_docs(checkout, line, rules):
    files = {**layers(), "Makefile": "answer: ## help\n", "tools/setup": "", "README.md": line,
             "apps/cli/main.cpp": 'add("run"); option("--seed");'}
    assert checkout(check_docs.check, files) == rules


@pytest.mark.parametrize("block, rules", [
    ("```c examples/a/b.c\nmake();\n```\n", []),
    ("```c examples/a/b.c\nbreak();\n```\n", ["doc-file"]),
    ("```c examples/a/b.c\nmake();\n\n```\n", ["doc-file"]),
    ("```c examples/a/gone.c\nmake();\n```\n", ["doc-path", "doc-file"]),
    ("```c\nmake();\n```\n", ["doc-file"]),
])
def test_examples_are_shown_as_they_are(checkout, block, rules):
    files = {**layers(), "examples/a/b.c": "make();\n", "docs/a.md": block}
    assert checkout(check_docs.check, files) == rules


def finding(value):
    return house.Finding("columns", "a.cpp", 1, "too wide", value)


@pytest.mark.parametrize("findings, allowed, left", [
    ([finding(120)], {}, 1),
    ([finding(120)], {("columns", "a.cpp"): 120}, 0),
    ([finding(121), finding(110)], {("columns", "a.cpp"): 120}, 1),
    ([finding(110)], {("columns", "a.cpp"): 120}, 1),
    ([], {("columns", "a.cpp"): 120}, 1),
    ([], {("other-rule", "a.cpp"): 120}, 0),
])
def test_exceptions_only_shrink(findings, allowed, left):
    assert len(house.judge(findings, {"columns"}, allowed)) == left
