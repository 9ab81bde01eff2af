"""spillway chat through a pipe: turns, commands, long messages, a full context, Ctrl-C."""
import os
import pty
import re
import signal

import pytest

ONE_LINE = ["--grammar", "root ::= [A-Za-z ,.]{4,40}"]  # answers of one line each


@pytest.fixture
def chat(shared_spillway, model, tmp_path):
    def talk(lines, *flags, code=0):
        (tmp_path / "said").write_text("".join(f"{line}\n" for line in lines))
        with open(tmp_path / "said") as said:
            run = shared_spillway.run("chat", model, "-n", "12", *flags, stdin=said)
        assert run.code == code, run
        return run
    return talk


def test_the_first_answer_is_that_of_run(chat, shared_spillway, model):
    run = chat(["Name a colour.", "/quit", "not said any more"])
    assert run.text == shared_spillway.generate(model, "Name a colour.", "-n", "12").text


def test_turns_commands_and_sessions(chat, tmp_path):
    session = tmp_path / "session"
    run = chat(["Name a colour.", '"""', "Say", "hello", '"""', "Say \\", "bye", "/stats",
                f"/save {session}", "/regen", "/clear", f"/load {session}", "/regen", "/stats",
                "/system", "/nonsense", "/load", "/help", "", "//path is what?"],
               "--system", "Be kind.", *ONE_LINE)
    answers = run.text.splitlines()
    assert len(answers) == 6, run
    assert answers[2] == answers[3] == answers[4], "at temperature 0, from where it was saved, too"
    assert re.findall(r"\((\d+) known\)", run.err), "the text so far is not computed again"
    assert f"7 messages saved to {session}" in run.err, run
    for words in ("Be kind.", "no /nonsense", "/load needs", "/regen  ", "temperature is 0"):
        assert words in run.err, f"no '{words}'\n{run}"


def test_old_messages_are_dropped_when_the_context_is_full(chat):
    run = chat(["My name is Ada and I like long walks along the sea."] * 5, "--context", "160",
               *ONE_LINE)
    assert len(run.text.splitlines()) == 5, run
    assert "oldest messages were dropped" in run.err, run


def test_a_message_that_does_not_fit_is_refused_and_forgotten(chat):
    run = chat(["long " * 200, "Hello."], "--context", "120", *ONE_LINE)
    assert "the context has only 120 positions" in run.err, run
    assert len(run.text.splitlines()) == 1, run


def test_a_small_budget_gets_a_shorter_context(chat):
    run = chat(["Hello."], "--host-budget", "64MiB", *ONE_LINE)
    assert re.search(r"room for a context of \d+ positions, not 4096", run.err), run
    assert run.text.strip()


def test_what_cannot_be_loaded_is_told_and_the_chat_goes_on(chat, tmp_path):
    (tmp_path / "junk").write_bytes(b"x" * 500)
    run = chat([f"/load {tmp_path / 'junk'}", "/save", "/save /no/such/folder/s", "Hello."],
               *ONE_LINE)
    assert "no session" in run.err and "/save needs" in run.err and "nothing to save" in run.err
    assert len(run.text.splitlines()) == 1, run


def test_an_interrupt_stops_the_answer_and_not_the_program(shared_spillway, model):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as said:
        process = shared_spillway.start("chat", model, "--ignore-eos", stdin=reading)
        os.close(reading)
        said.write("Tell me a long story.\n")
        said.flush()
        process.wait_for_text(20)
        process.send(signal.SIGINT)
        process.wait_until(lambda p: "(stopped)" in p.read_err())
        size = len(process.read_out())
        said.write("And another one.\n")
        said.flush()
        process.wait_for_text(size + 20)
        process.send(signal.SIGTERM)
        run = process.wait()
    assert run.code == 130, run


def test_a_model_without_a_template_has_no_chat(shared_spillway, stories, check_error):
    check_error(shared_spillway.run("chat", stories), 3, "chat template", "--raw")


def test_on_a_terminal_lines_are_edited_and_ctrl_c_drops_one(shared_spillway, model):
    terminal, stdin = pty.openpty()
    process = shared_spillway.start("chat", model, "-n", "4", stdin=stdin, stdout=stdin)
    os.close(stdin)
    assert os.read(terminal, 2) == b"> "  # its keys are keys soon: until then Ctrl-C is a signal,
    os.write(terminal, b"nonsense")  # which a terminal that controls nobody sends to nobody
    process.wait_until(lambda p: os.write(terminal, b"\x03") and "Ctrl-D or /quit" in p.read_err())
    os.write(terminal, b"/system Be kixx\x7f\x7fnd.\r/system\r")  # two backspaces
    process.wait_until(lambda p: "Be kind." in p.read_err())
    os.write(terminal, b"\x04")  # Ctrl-D
    run = process.wait()
    os.close(terminal)
    assert run.code == 0, run
