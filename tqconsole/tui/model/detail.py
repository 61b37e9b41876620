"""One task in full: summary, timeline, arguments, result and traceback, as lines of cells."""

import re
from collections.abc import Iterable, Iterator, Sequence

from tq.monitor import ClusterState, TaskInfo, is_library
from tqconsole.tui.model.facts import TimeLimit
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    age,
    clip,
    clock_ms,
    delta,
    duration,
    state_style,
    width_of,
)
from tqconsole.tui.model.masking import masked
from tqconsole.tui.model.resending import Resend, from_event
from tqconsole.tui.model.stages import stages_of
from tqconsole.tui.model.task_fields import (
    NEAR_LIMIT,
    Context,
    age_of,
    is_truncated,
    limit_share,
    runtime_of,
    tries_of,
)

__all__ = [
    "argument_lines",
    "heading",
    "labelled",
    "limit_text",
    "preview_lines",
    "summary_lines",
    "timeline_lines",
    "traceback_lines",
    "wrapped",
]

Cells = list[Cell]

_FRAME = re.compile(r'\s*File "(?P<path>[^"]*)", line (?P<line>\d+)(?:, in (?P<where>.*))?')
_LABEL = 10
_FULL = 50  # cells from which state, run time and retries fit one line


def heading(title: str, width: int, symbols: Glyphs, right: str = "") -> Cells:
    """Return a rule across the width that carries a title, and a note at its right end."""
    rule = symbols.rule
    note = f" {right} " if right else ""
    title = clip(title, max(1, width - width_of(note) - 6), symbols.ellipsis)
    middle = width - width_of(title) - width_of(note) - 6
    cells = [Cell(rule * 2 + " ", "rule"), Cell(title, "title"), Cell(" ", "")]
    cells.append(Cell(rule * max(0, middle), "rule"))
    if note:
        cells.append(Cell(note, "muted"))
    cells.append(Cell(rule, "rule"))
    return cells


def wrapped(text: str, width: int, indent: int = 0, style: str = "") -> Iterator[Cells]:
    """Break a text into lines that fit; each line keeps `indent` blanks at its left."""
    room = max(8, width - indent)
    for line in text.split("\n") or [""]:
        rest = line.expandtabs(4)
        while True:
            piece = _take(rest, room)
            yield [Cell(" " * indent), Cell(piece, style)]
            rest = rest[len(piece) :]
            if not rest:
                break


def _take(text: str, room: int) -> str:
    """Return the longest beginning of a text that fits, ending at a blank where one is near."""
    if width_of(text) <= room:
        return text
    end = room
    while end > 1 and width_of(text[:end]) > room:
        end -= 1
    blank = text.rfind(" ", end - 20 if end > 30 else end // 2, end)
    return text[: blank + 1] if blank > 0 else text[:end]


def labelled(label: str, value: str | None, width: int, style: str = "") -> Iterator[Cells]:
    """Return a labelled value on as many lines as it needs."""
    text = value if value not in (None, "") else UNKNOWN
    first = True
    for line in wrapped(str(text), width - _LABEL - 2, 0, style if value else "muted"):
        yield [Cell(f" {label if first else '':<{_LABEL}} ", "muted"), *line]
        first = False


def summary_lines(task: TaskInfo, context: Context, width: int, symbols: Glyphs) -> list[Cells]:
    """Return who, where, when and with whom."""
    state = context.state(task)
    tries = tries_of(task)
    lines: list[Cells] = [
        [
            Cell(f" {'state':<{_LABEL}} ", "muted"),
            Cell(f"{symbols.state(state)} {state}", state_style(state)),
            Cell(f"   run {_run(task, context)}", ""),
        ]
    ]
    retries = Cell(f"retries {tries}", "retry" if tries else "muted")
    if width >= _FULL:
        lines[0] += [Cell("   "), retries]
    elif tries:
        lines.append([Cell(" " * (_LABEL + 2)), retries])
    if state == "ORPHAN":
        note = f"its worker {task.worker} is lost; the broker delivers it again when its lease ends"
        lines.extend(labelled("", note, width, "error"))
    stages = "   ".join(f"{name} {duration(spent)}" for name, spent in stages_of(task, context.now))
    if stages:
        lines.extend(labelled("stages", stages, width))
    limit = context.limits.get(task.name or "")
    if limit is not None:
        share = limit_share(task, context.limits, context.now)
        used = "" if share is None else f"   {share * 100:.0f}% used"
        style = "warning" if share is not None and share >= NEAR_LIMIT else ""
        lines.extend(labelled("limit", f"{limit_text(limit)}{used}", width, style))
    lines.extend(labelled("seen", f"{age(age_of(task, context.now))} ago", width))
    lines.extend(labelled("id", task.uuid, width))
    lines.extend(labelled("name", task.name, width, "name"))
    pid = f"   pid {task.pid}" if task.pid else ""
    lines.extend(labelled("worker", f"{task.worker}{pid}" if task.worker else None, width))
    lines.extend(labelled("queue", _queue(task), width))
    if task.eta:
        lines.extend(labelled("eta", task.eta, width))
    if task.expires:
        lines.extend(labelled("expires", task.expires, width))
    lines.extend(labelled("sent by", task.client, width))
    if task.parent_id:
        lines.extend(labelled("parent", task.parent_id, width))
    if task.root_id and task.root_id != task.uuid:
        lines.extend(labelled("root", task.root_id, width))
    for name, value in sorted(task.extra.items()):
        lines.extend(
            labelled(clip(name, _LABEL), masked(f"{name}={value}").partition("=")[2], width)
        )
    return lines


def limit_text(limit: TimeLimit) -> str:
    """Write a task's time limits."""
    parts = (("soft", limit.soft), ("hard", limit.hard))
    return "   ".join(f"{kind} {seconds:g}s" for kind, seconds in parts if seconds is not None)


def _queue(task: TaskInfo) -> str | None:
    if task.queue is None:
        return None
    key = task.routing_key
    return f"{task.queue}   routing key {key}" if key and key != task.queue else task.queue


def _run(task: TaskInfo, context: Context) -> str:
    seconds = runtime_of(task, context.now)
    if seconds is None:
        return "-"
    return f">{duration(seconds)}" if context.state(task) == "ORPHAN" else duration(seconds)


def argument_lines(task: TaskInfo, width: int) -> list[Cells]:
    """Return arguments and result, and whether the sender cut them."""
    lines: list[Cells] = []
    lines.extend(labelled("args", masked(task.args), width))
    lines.extend(labelled("kwargs", masked(task.kwargs), width))
    if task.exception:
        lines.extend(labelled("error", masked(task.exception), width, "error"))
    if task.result is not None:
        lines.extend(labelled("result", masked(task.result), width))
    elif task.ready and task.state == "SUCCESS":
        lines.extend(labelled("result", None, width))
    lines.extend(labelled("replay", *_replay(task, width)))
    if is_truncated(task):
        note = "the sender cut these texts; the full values are in the message or the result"
        lines.extend(labelled("", note, width, "warning"))
    return lines


def _replay(task: TaskInfo, width: int) -> tuple[str, int, str]:
    """Say whether the events tell enough to send the task again."""
    verdict = from_event(task)
    if isinstance(verdict, Resend):
        return "yes: R resends it with the arguments above", width, ""
    return f"{verdict.reason}; R asks result backend, workers and queue", width, "warning"


def timeline_lines(task: TaskInfo, symbols: Glyphs, width: int) -> list[Cells]:
    """Return what happened and how long each step took."""
    styles = {"failed": "failure", "retried": "retry", "succeeded": "success", "started": "started"}
    lines: list[Cells] = []
    before: float | None = None
    tries = 0
    for what, moment in task.timeline():
        note = ""
        if what == "sent":
            note = task.client or ""
        elif what == "received":
            note = task.worker or ""
        elif what == "started" and task.pid:
            note = f"pid {task.pid}"
        elif what == "retried":
            tries += 1
            what, note = f"retry {tries}", masked(task.exception)
        elif what == "failed":
            note = masked(task.exception)
        step = delta(moment - before) if before is not None else ""
        style = styles.get(what, "retry" if what.startswith("retry") else "")
        room = max(0, width - 36)
        lines.append(
            [
                Cell(f" {clock_ms(moment)}  ", "muted"),
                Cell(f"{what:<10}", style),
                Cell(f"{step:>8}  ", "accent"),
                Cell(clip(note, room, symbols.ellipsis), "error" if what == "failed" else ""),
            ]
        )
        before = moment
    return lines or [[Cell(" no event told when", "muted")]]


def traceback_lines(
    text: str | None, folded: bool, symbols: Glyphs, wrap: int | None = None
) -> tuple[list[Cells], int]:
    """Return a traceback's lines, and how many frames were folded.

    Args:
        text: As the worker sent it.
        folded: Whether frames of libraries are replaced by one line for each run of them.
        symbols: For the mark on the program's own frames.
        wrap: Cells at which lines are broken, or None to keep them long.
    """
    if not text:
        return [], 0
    lines: list[Cells] = []
    hidden = 0
    for frame, body in _frames(masked(text).rstrip().split("\n")):
        own = frame is not None and not is_library(frame["path"])
        if frame is not None and not own and folded:
            hidden += 1
            _count_fold(lines, symbols)
            continue
        for number, line in enumerate(body):
            lines.extend(_frame_line(line, frame is not None, number == 0, own, symbols, wrap))
    return lines, hidden


def _frames(lines: Sequence[str]) -> Iterator[tuple[re.Match[str] | None, list[str]]]:
    """Group the lines of a traceback: each frame with its source, everything else by itself."""
    at = 0
    while at < len(lines):
        frame = _FRAME.match(lines[at])
        body = [lines[at]]
        at += 1
        if frame is not None:
            while at < len(lines) and lines[at].startswith("    ") and not _FRAME.match(lines[at]):
                body.append(lines[at])
                at += 1
        yield frame, body


def _count_fold(lines: list[Cells], symbols: Glyphs) -> None:
    """Add one to the run of folded frames at the end, or begin a new run."""
    count = 1
    if lines and lines[-1][0].style == "dim" and "folded" in lines[-1][0].text:
        count = int(lines[-1][0].text.split("(")[1].split()[0]) + 1
        lines.pop()
    word = "frame" if count == 1 else "frames"
    lines.append([Cell(f"   {symbols.ellipsis} ({count} library {word} folded)", "dim")])


def _frame_line(
    line: str, framed: bool, first: bool, own: bool, symbols: Glyphs, wrap: int | None
) -> Iterable[Cells]:
    if not framed:
        introduces = line.startswith(("Traceback", "During", "The above")) or not line.strip()
        style = "muted" if introduces else "failure"
    elif first:
        style = "name" if own else "muted"
    else:
        style = "" if own else "muted"
    mark = Cell(f" {symbols.fold} " if framed and first and own else "   ", "key")
    text = line.strip("\r").expandtabs(4)
    text = text.removeprefix("  ") if framed else text
    if wrap is None:
        return [[mark, Cell(text, style)]]
    return [
        [mark if n == 0 else Cell("   "), *piece]
        for n, piece in enumerate(wrapped(text, wrap - 3, 0, style))
    ]


def preview_lines(
    task: TaskInfo, context: Context, state: ClusterState, width: int, height: int, symbols: Glyphs
) -> list[Cells]:
    """Return the task in as much detail as a pane of this size holds."""
    name = task.name or UNKNOWN
    if height > 6:
        lines = [heading(name, width, symbols)]
    else:
        lines = [heading(f"{task.uuid}  {name}", width, symbols)]
        lines.extend(_short_preview(task, context, width, symbols))
        return lines[:height]
    lines.extend(summary_lines(task, context, width, symbols))
    lines.extend(argument_lines(task, width))
    lines.append(heading("timeline", width, symbols))
    lines.extend(timeline_lines(task, symbols, width))
    trace, hidden = traceback_lines(task.traceback, True, symbols, width)
    if trace:
        lines.append(
            heading("traceback", width, symbols, f"{hidden} frames folded" if hidden else "")
        )
        lines.extend(trace)
    return lines[:height]


def _short_preview(
    task: TaskInfo, context: Context, width: int, symbols: Glyphs
) -> Iterator[Cells]:
    """Return four lines: arguments, outcome, course, place."""
    arguments = f" args {masked(task.args) or UNKNOWN}  kwargs {masked(task.kwargs) or UNKNOWN}"
    yield [Cell(clip(arguments, width, symbols.ellipsis))]
    if task.exception:
        yield [Cell(clip(f" {masked(task.exception)}", width, symbols.ellipsis), "error")]
    elif task.result is not None:
        yield [
            Cell(" result ", "muted"),
            Cell(clip(masked(task.result), width - 8, symbols.ellipsis)),
        ]
    else:
        yield [
            Cell(
                f" running {_run(task, context)}" if task.state == "STARTED" else " no result yet",
                "muted",
            )
        ]
    yield _course(task, width, symbols)
    root = "" if task.root_id in (None, task.uuid) else f"  root {task.root_id}"
    where = f" worker {task.worker or UNKNOWN}  queue {task.queue or UNKNOWN}{root}"
    yield [Cell(clip(where, width, symbols.ellipsis), "muted")]


def _course(task: TaskInfo, width: int, symbols: Glyphs) -> Cells:
    """Return the timeline on one line."""
    parts: list[str] = []
    before: float | None = None
    for what, moment in task.timeline():
        parts.append(f"{what} {clock_ms(moment) if before is None else delta(moment - before)}")
        before = moment
    return [
        Cell(" " + clip(f" {symbols.arrow} ".join(parts), width - 1, symbols.ellipsis), "muted")
    ]
