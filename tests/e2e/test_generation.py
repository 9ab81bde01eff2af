"""What ends and shapes an answer: stop strings, biases, penalties, grammars, guesses, sessions."""
import json

import pytest

from spillway_runner import MIB

USAGE, BAD_FILE, BUDGET, MACHINE = 2, 3, 4, 5
QUESTION = "Which is the tallest mountain in the world?"
REPEATING = "one two three four one two three four one two three"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 20},
                   "age": {"type": "integer", "minimum": 1, "maximum": 99},
                   "tags": {"type": "array", "items": {"enum": ["old", "young"]}, "maxItems": 2}},
    "required": ["name", "age", "tags"]}


@pytest.fixture(scope="module")
def generate(shared_spillway, model):
    return lambda text, *arguments: shared_spillway.generate(model, text, *arguments)


@pytest.fixture(scope="module")
def plain(generate):
    return generate(QUESTION, "-n", "20")


def test_a_stop_string_ends_the_text_before_it(generate, plain):
    text = plain.text.rstrip("\n")
    stop = text[len(text) // 2 - 3:len(text) // 2 + 3]  # from within a token to within another
    run = generate(QUESTION, "-n", "20", "--stop", "no such text", "--stop", stop)
    assert run.text == text[:text.index(stop)] + "\n", run
    assert run.stats["stop_reason"] == "stop string"


def test_a_bias_forbids_and_forces(generate, plain):
    first = plain.stats["token_ids"][0]
    never = generate(QUESTION, "-n", "1", "--logit-bias", f"{first}-inf")
    assert never.stats["token_ids"] != [first]
    assert generate(QUESTION, "-n", "3", "-l", "28+100").stats["token_ids"] == [28] * 3


def test_a_large_frequency_penalty_lets_no_token_come_twice(generate):
    ids = generate(REPEATING, "--raw", "-n", "24", "--frequency-penalty", "100").stats["token_ids"]
    assert len(set(ids)) == len(ids)
    again = generate(REPEATING, "--raw", "-n", "24").stats["token_ids"]
    assert len(set(again)) < len(again)


def test_a_grammar_decides_what_is_said(generate):
    run = generate("Is water wet?", "--grammar", 'root ::= "certainly" | "never, ever"')
    assert run.text in ("certainly\n", "never, ever\n"), run
    assert run.stats["stop_reason"] == "grammar"
    run = generate("Say something in Greek.", "--grammar", "root ::= [α-ω]{5}", "--temp", "1")
    assert len(run.text) == 6 and all("α" <= c <= "ω" for c in run.text.strip()), run


@pytest.mark.parametrize("seed", ["1", "2"])
def test_an_answer_under_a_schema_is_json_that_is_valid(generate, tmp_path, seed):
    (tmp_path / "person.json").write_text(json.dumps(PERSON))
    run = generate("Describe a person as JSON.", "--json-schema", tmp_path / "person.json",
                   "--temp", "1.2", "--seed", seed, "-n", "150")
    person = json.loads(run.text)
    assert 1 <= len(person["name"]) <= 20 and 1 <= person["age"] <= 99, run
    assert len(person["tags"]) <= 2 and set(person["tags"]) <= {"old", "young"}, run
    assert set(person) == {"name", "age", "tags"}


def test_guesses_change_the_passes_and_not_the_answer(generate, model):
    arguments = (REPEATING, "--raw", "-n", "24", "--temp", "0.3", "--seed", "4")
    plain = generate(*arguments).stats
    lookup = generate(*arguments, "--lookup", "5")
    assert lookup.stats["token_ids"] == plain["token_ids"]
    assert lookup.stats["accepted_tokens"] > 0 and lookup.stats["passes"] < plain["passes"], lookup
    assert "guessed tokens were right" in lookup.err
    draft = generate(*arguments, "--draft", model, "--draft-max", "3", "--host-budget", "220MiB")
    assert draft.stats["token_ids"] == plain["token_ids"]
    assert draft.stats["passes"] < plain["passes"], draft
    assert draft.stats["peak_host_bytes"] <= 220 * MIB


def test_a_session_goes_on_where_it_ended(generate, tmp_path):
    session = tmp_path / "session"
    whole = generate(REPEATING, "--raw", "-n", "12").stats["token_ids"]
    first = generate(REPEATING, "--raw", "-n", "6", "--save-session", session).stats
    second = generate("", "--raw", "-n", "6", "--load-session", session, "--save-session", session)
    assert first["token_ids"] + second.stats["token_ids"] == whole
    assert second.stats["reused_tokens"] == len(second.stats["prompt_token_ids"]) - 1
    third = generate("", "--raw", "-n", "1", "--load-session", session).stats
    assert len(third["prompt_token_ids"]) == len(first["prompt_token_ids"]) + 12


def test_a_conversation_goes_on(generate, tmp_path):
    session = tmp_path / "session"
    generate("My name is Ada.", "-n", "8", "--save-session", session)
    run = generate("What is my name?", "-n", "8", "--load-session", session)
    assert run.stats["reused_tokens"] > 30, run
    assert "(" in run.err and " known)" in run.err


def test_sessions_that_are_not_this_runs_are_refused(shared_spillway, generate, model, tmp_path,
                                                     check_error):
    session = tmp_path / "session"
    generate("x", "--raw", "-n", "1", "--save-session", session)

    def refused(code, *words, flags=()):
        run = shared_spillway.run("run", model, "y", "--raw", "--load-session", session, *flags)
        check_error(run, code, *words)

    refused(USAGE, "--kv f16", flags=["--kv", "f32"])
    good = session.read_bytes()
    session.write_bytes(good[:-1])
    refused(BAD_FILE, session, "bytes")
    session.write_bytes(good[:-9] + b"x" + good[-8:])
    refused(BAD_FILE, session, "damaged")
    session.unlink()
    refused(BAD_FILE, session, "no such file")
    run = shared_spillway.run("run", model, "y", "-n", "1", "--save-session", tmp_path / "no" / "s")
    check_error(run, USAGE, "no such file")
    run = shared_spillway.run("run", model, "y", "-n", "1", "--save-session", model)
    check_error(run, USAGE, "not overwritten")


WRONG = {
    "bias without sign": (["--logit-bias", "5"], USAGE, "--logit-bias"),
    "bias of a word": (["--logit-bias", "the+1"], USAGE, "--logit-bias"),
    "bias forever": (["--logit-bias", "5+inf"], USAGE, "--logit-bias"),
    "empty stop": (["--stop", ""], USAGE, "--stop"),
    "penalty too large": (["--presence-penalty", "1000"], USAGE, "--presence-penalty"),
    "grammar broken": (["--grammar", 'root ::= "a'], USAGE, "line 1"),
    "grammar missing": (["--grammar", "no/such/file"], BAD_FILE, "no/such/file"),
    "grammar and schema": (["--grammar", 'root ::= "a"', "--json-schema", "{}"], USAGE, ""),
    "schema keyword": (["--json-schema", '{"not": {}}'], USAGE, '"not"'),
    "grammar without end": (["--grammar", 'root ::= "a"', "--ignore-eos"], USAGE, "--ignore-eos"),
    "lookup and draft": (["--lookup", "3", "--draft", "x"], USAGE, "--lookup"),
    "no draft": (["--draft", "no/such/model"], BAD_FILE, "no/such/model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage(shared_spillway, model, check_error, name):
    flags, code, word = WRONG[name]
    check_error(shared_spillway.run("run", model, "x", *flags, seconds=20), code, word)
