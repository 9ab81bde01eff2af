#!/usr/bin/env python3
"""Renders templates with Python's jinja2, as transformers sets it up, into tests/golden/jinja/.

    python3 tools/make_jinja_golden.py --templates ../shared/data/templates \
        --gguf models/SmolLM2-135M-Instruct.Q4_1.gguf tests/golden/jinja

snippets.json has small templates and their variables; to add one, write its "source" there and run
this. smollm2.json and conversations.json (from tools/jinja_conversations.py) stand alone too; the
other files hold what templates of the folder render for the conversations, templates.json of all
others the 64-bit FNV-1a hash and the number of bytes of that. Needs jinja2, gguf.
"""
import argparse
import copy
import datetime
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

import jinja_conversations
from make_tokenizer_golden import fnv1a

NOW = datetime.datetime(2024, 7, 6, 9, 5, 3)  # a Saturday; the test passes the same
TEMPLATES = {
    "llama31": "meta-llama-Llama-3.1-8B-Instruct.jinja",
    "llama32": "meta-llama-Llama-3.2-3B-Instruct.jinja",
    "qwen25": "Qwen-Qwen2.5-7B-Instruct.jinja",
    "qwen3": "Qwen-Qwen3-0.6B.jinja",
}


class Raised(Exception):
    """What the template itself raised."""


class Generation(jinja2.ext.Extension):
    """The tag that transformers adds to find what the assistant said; it only renders."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _support(self, caller):
        return caller()


def make_environment():
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise Raised(message)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.strftime
    return environment


def render(environment, source, variables):
    try:
        return {"output": environment.from_string(source).render(**variables)}
    except Raised as error:
        return {"raised": str(error)}
    except Exception as error:  # whatever Python raises is a failure to us
        return {"error": f"{type(error).__name__}: {error}"}


def write(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(path, path.stat().st_size)


def gguf_template(path):
    import gguf
    field = gguf.GGUFReader(path).fields["tokenizer.chat_template"]
    return bytes(field.parts[-1]).decode("utf-8")


def hashed(result):
    """An output as [bytes, hash], what the template raised as it is, another error as null."""
    if "raised" in result:
        return result["raised"]
    if "error" in result:
        return None
    output = result["output"].encode()
    return [len(output), fnv1a(output)]


def write_hashes(environment, options, cases):
    results = {}
    for path in sorted(options.templates.glob("*.jinja")):
        if path.name in TEMPLATES.values():
            continue
        source = path.read_text(encoding="utf-8")
        results[path.name] = [hashed(render(environment, source, copy.deepcopy(case["variables"])))
                              for case in cases]
    path = options.out / "templates.json"
    path.write_text(json.dumps(results, ensure_ascii=False, separators=(",", ":")).replace(
        ']],"', ']],\n"') + "\n", encoding="utf-8")
    print(path, path.stat().st_size)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--templates", type=pathlib.Path, required=True)
    parser.add_argument("--gguf", type=pathlib.Path, required=True)
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    environment = make_environment()

    path = options.out / "snippets.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    variables = golden["variables"]
    # Each gets its own copy: some filters of jinja2 change the lists that they are given.
    golden["snippets"] = [{"source": snippet["source"],
                           **render(environment, snippet["source"], copy.deepcopy(variables))}
                          for snippet in golden["snippets"]]
    write(path, golden)
    cases = jinja_conversations.CASES
    write(options.out / "conversations.json", cases)
    sources = {"smollm2": (None, gguf_template(options.gguf))}
    for name, file in TEMPLATES.items():
        sources[name] = (file, (options.templates / file).read_text(encoding="utf-8"))
    for name, (file, source) in sources.items():
        # A template of our own data is named; the one from the model is small and included.
        template = {"file": file} if file else {"source": source}
        results = [{"case": case["name"], **render(environment, source, case["variables"])}
                   for case in cases]
        write(options.out / f"{name}.json", {**template, "results": results})
    write_hashes(environment, options, cases)


if __name__ == "__main__":
    main()
