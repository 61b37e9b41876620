from tqconsole.tui.model.format import glyphs
from tqconsole.tui.model.sent import Answer, SentCommand, reply_lines, reply_text, summary_text


def sent(**fields: object) -> SentCommand:
    base = {
        "number": 1,
        "method": "ping",
        "arguments": {},
        "destination": None,
        "equivalent": "tq inspect ping",
        "sent_at": 100.0,
        "timeout": 1.0,
        "expected": ("a@h", "b@h"),
    }
    return SentCommand(**(base | fields))  # type: ignore[arg-type]


def words(command: SentCommand, now: float = 100.5, width: int = 80) -> str:
    lines = reply_lines(command, now, width, glyphs(), lambda node: f"{node} is busy")
    return "\n".join("".join(cell.text for cell in line) for line in lines)


def test_replies_are_put_in_words() -> None:
    assert reply_text({"ok": "pong"}) == (True, "ok: pong")
    assert reply_text({"error": "no such"}) == (False, "no such")
    assert reply_text({"ok": None}) == (True, "ok")
    assert reply_text([1, {"a": 2}]) == (True, '[1, {"a": 2}]')
    assert len(reply_text("x" * 100_000)[1]) <= 2000


def test_workers_wait_then_are_explained() -> None:
    command = sent()
    assert words(command).count("waiting") == 3
    assert "a@h is busy" in words(command, now=101.5)


def test_answers_from_unexpected_workers_are_listed_too() -> None:
    command = sent(answers=[Answer("c@h", True, "ok", 0.01)])
    assert "c@h" in words(command)
    assert command.missing == ("a@h", "b@h")


def test_the_summary_counts_good_bad_and_silent() -> None:
    command = sent(answers=[Answer("a@h", False, "no", 0.01)])
    assert summary_text(command, 102.0) == ("0/2 ok 1 error 1 silent 10ms", "error")
    command.answers.append(Answer("b@h", True, "ok", 0.02))
    assert command.complete
    assert not command.all_ok


def test_what_could_not_be_sent_says_why() -> None:
    assert "not sent: no broker" in summary_text(sent(error="no broker"), 101.0)[0]
    assert "no broker" in words(sent(error="no broker"))


def test_long_words_are_broken_to_fit() -> None:
    command = sent(answers=[Answer("a@h", True, "x" * 300, 0.01)])
    for line in words(command, width=60).splitlines():
        assert len(line) <= 60
