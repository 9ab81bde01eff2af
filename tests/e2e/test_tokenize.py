"""spillway tokenize with Hugging Face folders and with files of text."""
import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tokenizer_json.json"
USAGE, BAD_FILE = 2, 3


@pytest.fixture(scope="module")
def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def write_folder(golden, name, folder):
    case = next(case for case in golden["cases"] if case["name"] == name)
    tokenizer = {**case["tokenizer"], "model": {**case["tokenizer"]["model"],
                                                **golden[case["base"]]}}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return case["ids"]


@pytest.mark.parametrize("name", ["llama3", "llama2"])
def test_folder(spillway, golden, tmp_path, name):
    folder = tmp_path / "model"
    ids = write_folder(golden, name, folder)
    at = next(at for at, text in enumerate(golden["texts"]) if "repo_name" in text)
    text = tmp_path / "text"
    text.write_text(golden["texts"][at], encoding="utf-8")
    found = spillway.json("tokenize", folder, "--special", "--file", text)
    assert found["token_ids"] == ids[at]


def test_config_has_the_last_word(spillway, golden, tmp_path):
    folder = tmp_path / "model"
    write_folder(golden, "llama2", folder)
    with_bos = spillway.json("tokenize", folder, "x")["token_ids"]
    assert spillway.json("tokenize", folder, "--no-bos", "x")["token_ids"] == with_bos[1:]
    (folder / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    assert spillway.json("tokenize", folder, "x")["token_ids"] == with_bos[1:]


def test_folder_without_a_tokenizer(spillway, tmp_path, check_error):
    check_error(spillway.run("tokenize", tmp_path, "x"), BAD_FILE, tmp_path / "tokenizer.json")


def test_text_comes_once(spillway, model, tmp_path, check_error):
    text = tmp_path / "text"
    text.write_text("x")
    check_error(spillway.run("tokenize", model), USAGE, "TEXT", "--file")
    check_error(spillway.run("tokenize", model, "x", "--file", text), USAGE, "--file")
