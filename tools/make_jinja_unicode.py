#!/usr/bin/env python3
"""Writes src/formats/jinja/unicode_*.cpp from this Python's Unicode database.

    python3 tools/make_jinja_unicode.py src/formats/jinja
"""
import pathlib
import sys
import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def runs(mapping):
    out = []
    for cp, delta in mapping:
        if out and out[-1][3] == delta:
            first, last, step, _ = out[-1]
            gap = cp - last
            if (first == last and gap in (1, 2)) or (first != last and gap == step):
                out[-1] = (first, cp, gap, delta)
                continue
        out.append((cp, cp, 1, delta))
    return out


def wrap(items, width=98):
    lines, line = [], "   "
    for item in items:
        if len(line) + 1 + len(item) > width:
            lines.append(line)
            line = "   "
        line += " " + item
    return "\n".join(lines + [line])


def run_table(name, method):
    mapped = [(c, ord(method(chr(c))) - c) for c in CODE_POINTS
              if len(method(chr(c))) == 1 and method(chr(c)) != chr(c)]
    items = ["{0x%X, 0x%X, %d, %d}," % run for run in runs(mapped)]
    return (f"constexpr CaseRun k{name}Table[] = {{\n{wrap(items)}\n}};\n",
            f"const std::span<const CaseRun> k{name}Runs = k{name}Table;\n")


def special_table(name, pairs):
    text = lambda s: "".join("\\%03o" % b for b in s.encode())
    items = ['{0x%X, "%s"},' % (c, text(s)) for c, s in pairs]
    return (f"constexpr SpecialCase k{name}SpecialTable[] = {{\n{wrap(items)}\n}};\n",
            f"const std::span<const SpecialCase> k{name}Special = k{name}SpecialTable;\n")


def write(path, tables):
    head = (f"// Made by tools/make_jinja_unicode.py from Unicode {unicodedata.unidata_version}; "
            "do not edit.\n// clang-format off\n#include \"formats/jinja/unicode_tables.h\"\n\n"
            "namespace spillway::formats::jinja {\nnamespace {\n\n")
    body = "\n".join(t[0] for t in tables)
    tail = "\n}  // namespace\n\n" + "".join(t[1] for t in tables)
    path.write_text(head + body + tail + "\n}  // namespace spillway::formats::jinja\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    upper = [(c, chr(c).upper()) for c in CODE_POINTS if len(chr(c).upper()) > 1]
    lower = [(c, chr(c).lower()) for c in CODE_POINTS if len(chr(c).lower()) > 1]
    title = [(c, chr(c).title()) for c in CODE_POINTS if chr(c).title() != chr(c).upper()]
    write(folder / "unicode_case.cpp", [
        run_table("Upper", str.upper), run_table("Lower", str.lower),
        special_table("Upper", upper), special_table("Lower", lower),
        special_table("Title", title)])
    flips, state = [], False
    for c in range(0x110000):
        if chr(c).isprintable() != state:
            state = not state
            flips.append("0x%X," % c)
    write(folder / "unicode_printable.cpp", [(
        f"constexpr uint32_t kFlips[] = {{\n{wrap(flips)}\n}};\n",
        "const std::span<const uint32_t> kPrintableFlips = kFlips;\n")])


main()
