#!/usr/bin/env python3
"""Tokenises a file with spillway and with the tokenizers package: the same ids, and how fast.

    python bench/vs_tokenizers.py ../shared/data [--file text/wiki.test.raw] [--runs 3]

For each vocabulary of the shared data a folder with a tokenizer.json is made; both read it. Needs:
pip install gguf tokenizers==0.23.3, and build/release/bin/spillway.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from shared_vocabularies import vocabularies  # noqa: E402  (found through the line above)


def ours(folder, file):
    """Ids and seconds of one run of the program; loading is not counted."""
    done = subprocess.run([ROOT / "build/release/bin/spillway", "tokenize", folder, "--no-bos",
                           "--special", "--json", "--file", file], capture_output=True, check=True)
    result = json.loads(done.stdout)
    return result["token_ids"], result["seconds"]


def theirs(tokenizer, text):
    start = time.perf_counter()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return ids, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--file", default="text/wiki.test.raw")
    parser.add_argument("--runs", type=int, default=3, help="in turns; the best of each counts")
    options = parser.parse_args()
    file = options.data / options.file
    text, megabytes = file.read_bytes().decode(), file.stat().st_size / 1e6
    print(f"{'vocabulary':14} {'ids':>8} {'spillway MB/s':>14} {'tokenizers MB/s':>16}  ratio")
    failed = False
    for name, make in vocabularies(options.data):
        tokenizer = make()
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save(f"{folder}/tokenizer.json")
            runs = [(ours(folder, file), theirs(tokenizer, text)) for _ in range(options.runs)]
        (ids, _), (expected, _) = runs[0]
        mine, peer = (min(run[side][1] for run in runs) for side in (0, 1))
        same = "" if ids == expected else "  IDS DIFFER"
        failed |= ids != expected
        print(f"{name:14} {len(ids):8} {megabytes / mine:14.1f} {megabytes / peer:16.1f} "
              f"{peer / mine:6.2f}{same}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
