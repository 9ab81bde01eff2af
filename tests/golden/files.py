"""Where the models and texts of the tests lie, and the two that tools/ make (kept in build/golden).

A file that is missing is None; whoever needs it skips with `why`.
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SHARED = ROOT.parent / "shared" / "data"
MADE = ROOT / "build" / "golden"

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
WIKI = SHARED / "text" / "wiki.test.raw"
PASSAGE = HERE / "passage.txt"  # Mary Shelley, Frankenstein, chapter 1 (public domain)
STORY = HERE / "stories260K.txt"


def model():
    return MODEL if MODEL.is_file() else None


def wiki():
    return WIKI if WIKI.is_file() else None


def stories():
    """stories260K as GGUF, or None without shared data."""
    sources = [SHARED / "model" / "stories260K.bin", SHARED / "model" / "tok512.bin"]
    if not all(source.is_file() for source in sources):
        return None
    return made("stories260K.gguf", "convert_llama2c.py", sources)


def model_f32():
    """The model's weights without quantisation, or None without the model."""
    return made("model.f32.gguf", "dequantise_gguf.py", [MODEL]) if model() else None


def made(name, tool, sources):
    out, script = MADE / name, ROOT / "tools" / tool
    newest = max(path.stat().st_mtime for path in [script, *sources])
    if not out.is_file() or out.stat().st_mtime < newest:
        MADE.mkdir(parents=True, exist_ok=True)
        draft = out.with_suffix(f".{os.getpid()}.draft")
        subprocess.run([sys.executable, script, *sources, draft], check=True)
        draft.rename(out)
    return out


def passage():
    return PASSAGE.read_text().rstrip("\n")
