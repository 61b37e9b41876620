"""What a worker said of itself, as lines of cells."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tq.monitor import NameStats, TaskInfo, WorkerInfo, WorkerStatus
from tqconsole.tui.model.detail import heading, wrapped
from tqconsole.tui.model.facts import QueueFacts, WorkerFacts
from tqconsole.tui.model.format import (
    UNKNOWN,
    Cell,
    Glyphs,
    age,
    clip,
    clock,
    count,
    duration,
    fit,
    rate,
    size,
)
from tqconsole.tui.model.masking import MASK, masked
from tqconsole.tui.model.workers import status_cell

__all__ = ["conf_lines", "pool_lines", "queue_lines", "registered_lines", "task_lines"]

Lines = list[list[Cell]]
Reply = tuple[Any, str]  # what was answered, or why there is nothing

_LABEL = 12
_MOST = 500


def _field(label: str, value: str, style: str = "") -> list[Cell]:
    return [Cell(f" {label:<{_LABEL}} ", "muted"), Cell(value, style)]


def _note(text: str) -> list[Cell]:
    return [Cell(f" {text}", "muted")]


def pool_lines(
    worker: WorkerInfo,
    status: WorkerStatus,
    facts: WorkerFacts | None,
    now: float,
    width: int,
    symbols: Glyphs,
) -> Lines:
    """Return its state, counts, times, and the pool's processes."""
    mark = status_cell(status, symbols)
    online = f"   online since {clock(worker.online_at)}Z" if worker.online_at else ""
    load = "  ".join(f"{value:.2f}" for value in worker.loadavg) or UNKNOWN
    software = f"{worker.sw_ident or UNKNOWN} {worker.sw_ver or ''} {worker.sw_sys or ''}"
    active = worker.active if worker.active is not None else worker.running
    share = worker.coverage
    seen = UNKNOWN if share is None else f"{share * 100:.1f}%"
    lines: Lines = [
        _field("state", f"{mark.text} {status.value}{online}", mark.style),
        _field("heartbeat", f"{age(worker.silence(now))} ago, every {worker.freq:g}s"),
        _field("process", f"pid {worker.pid or UNKNOWN}   {software.strip()}"),
        _field("load", load),
        _field("runs now", f"{count(active)}   started here {count(worker.running)}"),
        _field("processed", f"{count(worker.processed)} since its start   seen here {seen}"),
        [
            Cell(f" {'since here':<{_LABEL}} ", "muted"),
            Cell(f"{count(worker.succeeded)} ok  ", "success"),
            Cell(f"{count(worker.failed)} failed  ", "failure" if worker.failed else "muted"),
            Cell(f"{count(worker.retried)} retried", "retry" if worker.retried else "muted"),
        ],
        _field("throughput", f"{rate(worker.rates.rate(now, 10))}/s over 10 s"),
        _field(
            "run time",
            "   ".join(
                f"p{round(part * 100)} {duration(worker.runtimes.percentile(part))}"
                for part in (0.5, 0.95, 0.99)
            ),
        ),
    ]
    lines.append([])
    if facts is None:
        lines.append(heading("pool", width, symbols))
        lines.append(_note("it has not answered stats yet"))
        return lines
    lines.append(heading("pool", width, symbols, f"as of {age(now - facts.as_of)} ago"))
    lines.append(_field("kind", f"{facts.pool or UNKNOWN} {facts.size or ''}".strip()))
    lines.append(_field("prefetch", count(facts.prefetch)))
    lines.append(_field("memory", f"{size(facts.rss)} at most, of the parent process"))
    if facts.uptime is not None:
        lines.append(_field("uptime", age(facts.uptime)))
    lines.extend(_tree(facts.stats.get("pool"), width, symbols, skip=("implementation",)))
    broker = facts.stats.get("broker")
    if isinstance(broker, Mapping):
        lines.extend([[], heading("its broker", width, symbols)])
        lines.extend(_tree(broker, width, symbols, skip=("password",)))
    return lines


def _tree(value: Any, width: int, symbols: Glyphs, skip: Sequence[str] = ()) -> Lines:
    """Return the fields of an answer, each on its line."""
    if not isinstance(value, Mapping):
        return []
    lines: Lines = []
    for name, item in list(value.items())[:_MOST]:
        if name in skip or item in (None, "", [], {}):
            continue
        text = item if isinstance(item, str) else json.dumps(item, default=str)
        label = clip(str(name), 22, symbols.ellipsis)
        hidden = masked(f"'{name}': {text!r}") != f"'{name}': {text!r}"
        shown = MASK if hidden else clip(str(text), width - 26, symbols.ellipsis)
        lines.append([Cell(f" {label:<22}  ", "muted"), Cell(shown)])
    return lines


def task_lines(
    running: Sequence[TaskInfo],
    replies: Mapping[str, Reply],
    now: float,
    width: int,
    symbols: Glyphs,
) -> Lines:
    """Return what it runs, holds, keeps for later, and was told not to run."""
    lines: Lines = [heading(f"running ({len(running)})", width, symbols, "from events")]
    for task in running[:_MOST]:
        spent = duration(max(0.0, now - task.started)) if task.started is not None else UNKNOWN
        lines.append(_task_line(task.uuid, task.name, spent, masked(task.args), width, symbols))
    if not running:
        lines.append(_note("nothing"))
    for method, title in (
        ("reserved", "reserved"),
        ("scheduled", "scheduled"),
        ("revoked", "revoked ids"),
    ):
        value, problem = replies.get(method, (None, "not asked"))
        items = value if isinstance(value, list) else []
        lines.append([])
        lines.append(heading(f"{title} ({len(items)})", width, symbols, f"inspect {method}"))
        if problem:
            lines.append(_note(problem))
        elif not items:
            lines.append(_note("none"))
        lines.extend(_answered_task(item, now, width, symbols) for item in items[:_MOST])
        if len(items) > _MOST:
            lines.append(_note(f"and {count(len(items) - _MOST)} more"))
    return lines


def _task_line(
    uuid: str, name: str | None, what: str, args: str, width: int, symbols: Glyphs
) -> list[Cell]:
    room = max(0, width - 52)
    return [
        Cell(f" {uuid[:8]:<8}  ", "muted"),
        Cell(fit(name or UNKNOWN, 28, ellipsis=symbols.ellipsis), "name"),
        Cell(f" {what:>9}  ", "started"),
        Cell(clip(args, room, symbols.ellipsis), "muted"),
    ]


def _answered_task(item: Any, now: float, width: int, symbols: Glyphs) -> list[Cell]:
    """Return one task of an answer; nothing of it is trusted to have the right shape."""
    if not isinstance(item, Mapping):
        return [Cell(f" {clip(str(item), width - 2, symbols.ellipsis)}", "")]
    request = item.get("request")
    task: Mapping[str, Any] = request if isinstance(request, Mapping) else item
    eta = item.get("eta") or task.get("eta")
    what = str(eta)[11:19] if isinstance(eta, str) and len(eta) >= 19 else ""
    args = masked(str(task.get("args", "")))
    return _task_line(
        str(task.get("id", UNKNOWN)), str(task.get("name", UNKNOWN)), what, args, width, symbols
    )


def queue_lines(
    facts: WorkerFacts | None, queues: Sequence[QueueFacts], width: int, symbols: Glyphs
) -> Lines:
    """Return the queues it takes from, with what waits in each."""
    if facts is None or facts.queues is None:
        return [[], _note("it has not answered active_queues yet")]
    known = {queue.name: queue for queue in queues}
    lines = [[Cell(f" {'QUEUE':<32} {'READY':>10} {'WORKERS':>8}", "heading")]]
    for name in facts.queues:
        queue = known.get(name)
        ready = queue.ready if queue is not None else None
        workers = queue.consumers if queue is not None else None
        lines.append(
            [
                Cell(f" {fit(name, 32, ellipsis=symbols.ellipsis)} ", "name"),
                Cell(f"{count(ready):>10}", "bold" if ready else "muted"),
                Cell(f" {UNKNOWN if workers is None else workers:>8}", "muted"),
            ]
        )
    return lines


def registered_lines(
    facts: WorkerFacts | None, names: Mapping[str, NameStats], width: int, symbols: Glyphs
) -> Lines:
    """Return the tasks it knows, with what was seen of each in the whole cluster."""
    if facts is None or facts.registered is None:
        return [[], _note("it has not answered registered yet")]
    lines = [[Cell(f" {'TASK':<40} {'DONE':>8} {'FAILED':>8} {'P95':>8}", "heading")]]
    for text in sorted(facts.registered):
        name, _, options = text.partition(" ")
        stats = names.get(name)
        p95 = stats.runtimes.percentile(0.95) if stats is not None else None
        lines.append(
            [
                Cell(f" {fit(name, 40, ellipsis=symbols.ellipsis)} ", "name"),
                Cell(f"{count(stats.finished if stats else 0):>8} ", "" if stats else "muted"),
                Cell(
                    f"{count(stats.failed if stats else 0):>8} ",
                    "error" if stats and stats.failed else "muted",
                ),
                Cell(f"{'-' if p95 is None else duration(p95):>8}", "muted"),
                Cell(clip(f"  {options}" if options else "", max(0, width - 70)), "muted"),
            ]
        )
    return lines


def conf_lines(reply: Reply, width: int) -> Lines:
    """Return its configuration, without secrets."""
    value, problem = reply
    if problem:
        return [[], _note(problem)]
    if not isinstance(value, Mapping):
        return [[], _note("the answer is no configuration")]
    lines: Lines = []
    for name in sorted(map(str, value))[:_MOST]:
        text = value.get(name)
        shown = text if isinstance(text, str) else json.dumps(text, default=str)
        pair = masked(f"'{name}': {shown!r}")
        shown = MASK if pair != f"'{name}': {shown!r}" else shown
        first = True
        for line in wrapped(shown, width - 40):
            lines.append([Cell(f" {name if first else '':<36}  ", "muted"), *line])
            first = False
    return lines or [[], _note("it set nothing beyond the defaults")]
