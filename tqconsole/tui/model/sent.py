"""A command that was sent, and who answered it: what the reply panel and the control log show."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqconsole.tui.model.detail import heading
from tqconsole.tui.model.format import (
    Cell,
    Glyphs,
    clip,
    clock,
    clock_ms,
    count,
    duration,
    fit,
    width_of,
)
from tqconsole.tui.model.masking import masked

__all__ = ["Answer", "SentCommand", "log_line", "reply_lines", "reply_text", "summary_text"]

Cells = list[Cell]

MAX_REPLY = 2000  # characters of a reply that are shown; `stats` and `conf` answer with pages


@dataclass(frozen=True, slots=True)
class Answer:
    """One worker's answer.

    Attributes:
        ok: Whether it did what was asked.
        text: The answer in words.
        after: Seconds from sending to the answer.
        late: Whether it came after the deadline.
        value: What was answered, as data.
    """

    node: str
    ok: bool
    text: str
    after: float
    late: bool = False
    value: Any = None


@dataclass(slots=True)
class SentCommand:
    """One command and its answers so far. Written by the event loop only.

    Attributes:
        number: Counted from 1 in this console.
        equivalent: The command line that does the same.
        expected: Nodes that should answer; None when that is not known.
        sent_at: Wall timestamp of sending.
        timeout: Seconds until an answer counts as late.
        listening: Whether further answers are still taken in.
        error: Why it could not be sent.
        total: Steps of an errand at the broker, such as tasks to send again; 0 for a command.
        done: Steps taken.
        good: Steps that succeeded.
        stopping: Whether the user wants no more steps taken.
    """

    number: int
    method: str
    arguments: Mapping[str, Any]
    destination: Sequence[str] | None
    equivalent: str
    sent_at: float
    timeout: float
    expected: tuple[str, ...] | None = None
    answers: list[Answer] = field(default_factory=list)
    listening: bool = True
    error: str | None = None
    total: int = 0
    done: int = 0
    good: int = 0
    stopping: bool = False

    @property
    def running(self) -> bool:
        """Whether an errand has steps to take still."""
        return self.total > 0 and self.listening and self.error is None

    @property
    def missing(self) -> tuple[str, ...]:
        """Expected nodes without an answer."""
        answered = {answer.node for answer in self.answers}
        return tuple(node for node in self.expected or () if node not in answered)

    @property
    def complete(self) -> bool:
        """Whether every expected node answered."""
        if self.total:
            return not self.running
        return bool(self.expected) and not self.missing

    @property
    def all_ok(self) -> bool:
        """Whether every expected node answered, and none with an error."""
        return self.complete and all(answer.ok for answer in self.answers)

    def overdue(self, now: float) -> bool:
        """Tell whether the time for answers is over."""
        return not self.total and now >= self.sent_at + self.timeout


def reply_text(value: object) -> tuple[bool, str]:
    """Return whether a reply is a good one, and its words."""
    if isinstance(value, Mapping):
        if "error" in value:
            return False, str(value["error"])[:MAX_REPLY]
        if "ok" in value:
            rest = value["ok"]
            return True, "ok" if rest in (None, "") else f"ok: {_plain(rest)}"
    return True, _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return masked(value[:MAX_REPLY])
    try:
        return masked(json.dumps(value, default=str, ensure_ascii=False)[:MAX_REPLY])
    except (TypeError, ValueError, RecursionError):
        return masked(repr(value)[:MAX_REPLY])


def summary_text(sent: SentCommand, now: float) -> tuple[str, str]:
    """Return the state of a command in a few words, and the style of these words."""
    if sent.error:
        return f"not sent: {sent.error}", "error"
    if sent.total:
        text = f"{count(sent.done)} of {count(sent.total)}" if sent.running else "done"
        if sent.running and sent.stopping:
            text = f"stopping at {text}"
        bad = sent.done - sent.good
        text += f", {count(sent.good)} ok" + (f" {count(bad)} error" if bad else "")
        return text, "error" if bad else "warning" if sent.running else "success"
    good = sum(answer.ok for answer in sent.answers)
    bad = len(sent.answers) - good
    total = len(sent.expected or ())
    text = f"{len(sent.answers)} replies" if sent.expected is None else f"{good}/{total} ok"
    if bad:
        text += f" {bad} error"
    if sent.missing and not sent.overdue(now):
        text += f" waiting for {len(sent.missing)}"
    elif sent.missing:
        text += f" {len(sent.missing)} silent"
    slowest = max((answer.after for answer in sent.answers), default=None)
    if slowest is not None:
        text += f" {duration(slowest)}"
    return text, "error" if bad else "warning" if sent.missing else "success"


def reply_lines(
    sent: SentCommand, now: float, width: int, symbols: Glyphs, explain: Callable[[str], str]
) -> list[Cells]:
    """Return the reply panel: what was sent, then one entry for each expected worker.

    `explain` says in words why a worker may be silent.
    """
    lines: list[Cells] = [
        [Cell(" $ ", "muted"), Cell(clip(sent.equivalent, width - 4, symbols.ellipsis), "name")]
    ]
    expected = count(len(sent.expected)) if sent.expected is not None else "unknown"
    words = [f"sent {clock_ms(sent.sent_at)}Z"]
    if not sent.total:
        words += [f"{expected} expected", f"deadline {sent.timeout:g}s"]
    head = f" {symbols.dot} ".join(words)
    lines.append(heading(head, width, symbols))
    if sent.error:
        lines.append([Cell(f" {symbols.failure} ", "failure"), Cell(sent.error, "error")])
        return lines
    name_width = max([10, *(width_of(node) for node in _nodes(sent))])
    name_width = min(name_width, max(10, width // 3))
    after_width = 9
    text_width = max(10, width - name_width - after_width - 6)
    where = fit("WHERE" if sent.total else "WORKER", name_width)
    titles = f"   {where} {fit('REPLY', text_width)} {'AFTER':>{after_width}}"
    lines.append([Cell(titles, "heading")])
    for node in _nodes(sent):
        lines.extend(
            _node_lines(sent, node, now, (name_width, text_width, after_width), symbols, explain)
        )
    lines.append([])
    text, style = summary_text(sent, now)
    more = ""
    if sent.missing and sent.listening and sent.overdue(now):
        more = f"   still listening {max(0.0, sent.sent_at + sent.timeout + 30 - now):.0f}s"
    lines.append([Cell(f" {text}", style), Cell(more, "muted")])
    return lines


def _nodes(sent: SentCommand) -> list[str]:
    """Return the nodes in a steady order: the expected ones by name, then the others."""
    expected = sorted(sent.expected or ())
    return expected + [a.node for a in sent.answers if a.node not in (sent.expected or ())]


def _node_lines(
    sent: SentCommand,
    node: str,
    now: float,
    widths: tuple[int, int, int],
    symbols: Glyphs,
    explain: Callable[[str], str],
) -> list[Cells]:
    name_width, text_width, after_width = widths
    answer = next((answer for answer in sent.answers if answer.node == node), None)
    if answer is not None:
        mark = (
            Cell(f" {symbols.success} ", "success")
            if answer.ok
            else Cell(f" {symbols.failure} ", "failure")
        )
        text, style = answer.text, "" if answer.ok else "error"
        after = f"{'+' if answer.late else ''}{duration(answer.after)}"
    elif not sent.overdue(now):
        mark, text, style = Cell(f" {symbols.wait[:1]} ", "muted"), "waiting", "muted"
        after = duration(max(0.0, now - sent.sent_at))
    else:
        mark, style = Cell(f" {symbols.busy} ", "warning"), "warning"
        quiet = sent.method == "shutdown"  # a worker that stops does not answer
        begin = "shutdown is not answered" if quiet else f"no reply in {sent.timeout:g}s"
        text, after = f"{begin}: {explain(node)}", "-"
    pieces = _broken(text.replace("\n", " "), text_width)[:4]
    first = [
        mark,
        Cell(fit(node, name_width, ellipsis=symbols.ellipsis) + " ", "name"),
        Cell(fit(pieces[0], text_width), style),
        Cell(f" {after:>{after_width}}", "warning" if answer and answer.late else "muted"),
    ]
    rest = [[Cell(" " * (name_width + 4)), Cell(piece, style)] for piece in pieces[1:]]
    return [first, *rest]


def _broken(text: str, width: int) -> list[str]:
    """Break a text at blanks into pieces of at most `width` cells."""
    pieces: list[str] = []
    line = ""
    for word in text.split(" "):
        while width_of(word) > width:
            if line:
                pieces.append(line)
                line = ""
            pieces.append(word[:width])
            word = word[width:]
        if line and width_of(line) + 1 + width_of(word) > width:
            pieces.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    pieces.append(line)
    return pieces


def log_line(sent: SentCommand, now: float, width: int, symbols: Glyphs) -> Cells:
    """Return a command as one line of the control log."""
    text, style = summary_text(sent, now)
    left = f" #{sent.number:<4} {clock(sent.sent_at)}  "
    what = clip(
        sent.equivalent.removeprefix("tq control "),
        max(8, width - width_of(left) - width_of(text) - 2),
        symbols.ellipsis,
    )
    gap = width - width_of(left) - width_of(what) - width_of(text) - 1
    return [Cell(left, "muted"), Cell(what), Cell(" " * max(1, gap)), Cell(text, style)]
