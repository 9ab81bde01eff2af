#!/usr/bin/env python3
"""Holds the order of the layers: what a folder of src/ includes and names.

The order is the one list in src/CMakeLists.txt; a layer uses the layers above it that its
spillway_layer(NAME USES ...) names, and includes only those and itself. Nothing in src/ knows the
apps, an app knows no other app, and some names belong to one layer: the operating system to
platform, SIMD to ops, the environment to base.
"""
import re
from pathlib import Path

import house
from house import Finding

RULES = {"layer-order", "layer-use", "layer-include", "layer-word"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
PUBLIC = re.compile(r"spillway/([a-z]+)[/.]")  # spillway/memory/…, spillway/memory.h
# Patterns of code, and the layers of src/ in which they are at home.
HOMES = [
    (re.compile(r"#\s*include\s*<(sys/|linux/|unistd\.h|fcntl\.h|dlfcn\.h|sched\.h|liburing)"),
     {"platform"}, "the operating system"),
    (re.compile(r'#\s*include\s*[<"](cuda|cublas|nvrtc)'), {"platform", "ops"}, "the GPU driver"),
    (re.compile(r'#\s*include\s*[<"](hwy/|immintrin|arm_neon)'), {"ops"}, "SIMD"),
    (re.compile(r"\bgetenv\s*\("), {"base"}, "the environment"),
    (re.compile(r"\b(system|steady|high_resolution)_clock::now\b"), {"platform"}, "the clock"),
    (re.compile(r"\brandom_device\b"), {"platform"}, "randomness"),
    (re.compile(r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|mmap|munmap)\s*\("),
     {"platform"}, "raw memory"),
]


def order_of(text):
    """The layers, lowest first, from src/CMakeLists.txt."""
    listed = re.search(r"foreach\s*\(\s*layer\s+([^)]*)\)", text)
    return listed[1].split() if listed else []


def uses_of(text):
    """(name, layers it may use) from a layer's CMakeLists.txt."""
    call = re.search(r"spillway_layer\s*\(([^)]*)\)", text)
    words = call[1].split() if call else []
    if "USES" not in words:
        return words[0] if words else None, []
    rest = words[words.index("USES") + 1:]
    return words[0], rest[:rest.index("LINKS")] if "LINKS" in rest else rest


def check_declarations(root, order):
    """Findings, and {layer: layers it may use}."""
    findings, allowed = [], {}
    folders = {path.name for path in (root / "src").iterdir() if path.is_dir()}
    for name in sorted(folders ^ set(order)):
        findings.append(Finding("layer-order", "src/CMakeLists.txt", 1,
                                f"'{name}' is a folder or in the list of layers, but not both"))
    for position, layer in enumerate(order):
        path = f"src/{layer}/CMakeLists.txt"
        name, uses = uses_of((root / path).read_text()) if (root / path).is_file() else (None, [])
        if name != layer:
            findings.append(Finding("layer-order", path, 1, f"declares no layer '{layer}'"))
        for used in uses:
            if used not in order[:position]:
                findings.append(Finding("layer-order", path, 1,
                                        f"{layer} uses {used}, which is not above it"))
        allowed[layer] = set(uses)
    return findings, allowed


def check_include(path, line, quote, name, order, allowed, apps):
    """Yields what is wrong with one #include."""
    owner, *rest = Path(path).parts
    layer = rest[0] if owner == "src" else None
    if match := PUBLIC.match(name):  # the public headers of a layer are that layer's
        name = f"{match[1]}/{name}"
    if match := PUBLIC.match("/".join(rest)):
        owner, layer = "src", match[1]
    first = name.split("/")[0]
    if ".." in name.split("/") and owner in {"src", "apps"}:
        yield Finding("layer-include", path, line, f"'{name}' climbs: write it from src/")
    elif layer and first in {"apps", "bench", "tests", "plugins", "support", *apps}:
        yield Finding("layer-use", path, line, f"src/ knows no {first}: {name}")
    elif owner == "apps" and first in apps and first != rest[0]:
        yield Finding("layer-use", path, line, f"an app knows no other app: {name}")
    elif first in order and "/" in name:
        if quote == "<":
            yield Finding("layer-include", path, line, f"<{name}> is ours: write quotes")
        if layer and first != layer and first not in allowed.get(layer, set()):
            yield Finding("layer-use", path, line,
                          f"{layer} may not include {name}: it uses {sorted(allowed[layer])}")
    elif layer and quote == '"' and "/" not in name:
        yield Finding("layer-include", path, line, f"'{name}': write it from src/")


def check_words(path, number, line):
    """Yields what is named outside of its home. Line comments do not count."""
    layer = Path(path).parts[1]
    code = re.sub(r"//.*", "", line)
    for pattern, homes, what in HOMES:
        if layer not in homes and pattern.search(code):
            yield Finding("layer-word", path, number,
                          f"{what} belongs to {' or '.join(sorted(homes))}: {code.strip()}")


def check(root):
    order = order_of((root / "src" / "CMakeLists.txt").read_text())
    findings, allowed = check_declarations(root, order)
    apps = {path.name for path in root.glob("apps/*")} - set(order)
    for path in house.cpp_files(root):
        in_src = path.startswith("src/") and len(Path(path).parts) > 2
        if path.startswith("src/") and not in_src:
            findings.append(Finding("layer-order", path, 1, "belongs into the folder of a layer"))
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            if found := INCLUDE.match(line):
                findings += check_include(path, number, *found.groups(), order, allowed, apps)
            if in_src:
                findings += check_words(path, number, line)
    return findings


if __name__ == "__main__":
    house.report(check(house.ROOT), RULES)
