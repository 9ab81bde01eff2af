"""What lives where and how fast it goes, as text, numbers and HTML. Values; any thread."""
from __future__ import annotations

import html
import textwrap

from spillway.torch.sizes import format_size

WIDTH = 100  # columns of the text, its frame included
_LABEL = 7
_COLUMNS = (54, 5, 10, 5, 10)  # of the table of weights


class Overview:
    """str() is a table in the style of nvidia-smi, to_dict() the numbers behind it: sizes in bytes,
    times in seconds, rates in bytes a second; None where something is not known."""

    def __init__(self, title: str, numbers: dict):
        self._title = title
        self._numbers = numbers

    def to_dict(self) -> dict:
        """Can be written as JSON."""
        return dict(self._numbers)

    def __str__(self) -> str:
        rule = "+" + "-" * (WIDTH - 2) + "+"
        lines = [rule, *_boxed(self._heading()), rule]
        for label, text in self._facts():
            lines += _boxed(text, label)
        if self._numbers["modules"]:
            table = "+" + "+".join("-" * (width + 2) for width in _COLUMNS) + "+"
            *rows, total = [_row(cells) for cells in self._cells()]
            lines += [table, _row(self._head()), table, *rows, table, total, table]
        else:
            lines.append(rule)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(f"<tr><th>{html.escape(label)}</th><td colspan=4>{html.escape(text)}</td>"
                        f"</tr>" for label, text in self._facts())
        head = "<tr>" + "".join(f"<th>{cell}</th>" for cell in self._head()) + "</tr>"
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
                       for cells in self._cells())
        return (f"<table><caption>{html.escape(self._heading())}</caption>{facts}{head}{body}"
                f"</table>")

    def _heading(self) -> str:
        return f"{self._title}    {self._numbers['device']}"

    def _facts(self) -> list[tuple[str, str]]:
        numbers = self._numbers
        facts = [*zip(numbers["tiers"], (_hbm(numbers["hbm"]), _share(numbers["host"]))),
                 ("link", _rate(numbers["link"]))]
        if numbers["ring"]:
            facts.append(("ring", _ring(numbers["ring"])))
        if numbers["kv"]:
            facts.append(("KV", _kv(numbers["kv"])))
        facts.append(("pass", _pass(numbers["pass"])))
        return facts + [("note", note) for note in numbers["notes"]]

    def _head(self) -> tuple[str, ...]:
        first, second = self._numbers["tiers"]
        return "weights", first, "bytes", second, "bytes"

    def _cells(self) -> list[tuple[str, ...]]:
        """Of the rows, and their sum."""
        modules = self._numbers["modules"]
        keys = ("hbm_tensors", "hbm_bytes", "host_tensors", "host_bytes")
        total = {key: sum(row[key] for row in modules) for key in keys}
        return [(row["name"], str(row["hbm_tensors"]), format_size(row["hbm_bytes"]),
                 str(row["host_tensors"]), format_size(row["host_bytes"]))
                for row in [*modules, {"name": "all", **total}]]


def _boxed(text: str, label: str = "") -> list[str]:
    """Lines of the frame's width; the label stands before the first."""
    indent = _LABEL if label else 0
    lines = textwrap.wrap(text, WIDTH - 4 - indent)
    heads = [label] + [""] * (len(lines) - 1)
    return [f"| {head:<{indent}}{line:<{WIDTH - 4 - indent}} |" for head, line in zip(heads, lines)]


def _row(cells) -> str:
    name, *others = cells
    width = _COLUMNS[0]
    if len(name) > width:  # both ends say more than the middle
        name = f"{name[:width // 2 - 1]}…{name[-(width // 2):]}"
    return f"| {name:<{width}} | " + " | ".join(
        f"{cell:>{wide}}" for cell, wide in zip(others, _COLUMNS[1:])) + " |"


def _share(numbers: dict) -> str:
    budget = numbers["budget_bytes"]
    return f"{format_size(numbers['used_bytes'])} of " + (
        format_size(budget) if budget is not None else "no budget that was given")


def _hbm(numbers: dict) -> str:
    weights, ring, kv, others = (format_size(numbers[f"{key}_bytes"])
                                 for key in ("weights", "ring", "kv", "other"))
    return (f"{_share(numbers)}: weights {weights}, ring {ring}, KV {kv}, others {others}; "
            f"{format_size(numbers['work_bytes'])} are kept free of weights")


def _rate(numbers: dict) -> str:
    rate = numbers["bytes_per_second"]
    return numbers["source"] if rate is None else f"{rate / 1e9:.1f} GB/s, {numbers['source']}"


def _ring(numbers: dict) -> str:
    text = f"{numbers['slots']} slots of {format_size(numbers['slot_bytes'])}"
    if numbers.get("hits") is None:
        return text
    text += (f"; {numbers['hits']:,} weights came ahead of use, {numbers['misses']:,} when asked "
             f"for, {numbers['in_place']:,} of these read in place; "
             f"{format_size(numbers['copied_bytes'])} copied")
    if numbers["timed"]:
        text += (f"; of {numbers['timed']:,} uses that were timed {numbers['stalls']:,} stalled, "
                 f"{numbers['stall_seconds'] * 1e3:.1f} ms together")
    return text


def _kv(numbers: dict) -> str:
    seconds = numbers["predicted_seconds"]
    text = (f"{numbers['tokens']:,} tokens in {numbers['layers']} layers, "
            f"{numbers['host_layers']} of them in the host; {format_size(numbers['hbm_bytes'])} in "
            f"HBM, {format_size(numbers['host_bytes'])} in the host, slots "
            f"{format_size(numbers['slots_bytes'])}; {format_size(numbers['streamed_bytes'])} come "
            f"a token, at the link's rate "
            f"{'unknown' if seconds is None else f'{seconds * 1e3:.1f} ms'}")
    if numbers["hits"] is not None:
        return (f"{text}; {numbers['hits']:,} came ahead of use, {numbers['misses']:,} when asked "
                f"for")
    for key, what in (("tokens_in_hbm", "layers go to the host"),
                      ("tokens_without_yielding", "weights do as well")):
        if numbers[key] is not None:
            text += f"; beyond {numbers[key]:,} tokens {what}"
    if numbers["yielded_bytes"]:
        text += f", here {format_size(numbers['yielded_bytes'])} of them"
    return text


def _pass(numbers: dict) -> str:
    def milliseconds(key):
        seconds = numbers[key]
        return "unknown" if seconds is None else f"{seconds * 1e3:.1f} ms"
    text = (f"{format_size(numbers['streamed_bytes'])} streamed, at the link's rate "
            f"{milliseconds('predicted_seconds')}")
    if numbers["count"] is not None:
        text += f"; measured {milliseconds('measured_seconds')}, of {numbers['count']:,} passes"
    return text
