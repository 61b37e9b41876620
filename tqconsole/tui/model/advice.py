"""What empty places say, and why a worker may be silent."""

from tq.monitor import ClusterState, WorkerStatus
from tqconsole.tui.model.facts import LinkState
from tqconsole.tui.model.format import Cell, age, count, duration

__all__ = [
    "explain_silence",
    "no_event_hints",
    "no_match_hints",
    "no_task_hints",
    "no_worker_hints",
    "searching_hints",
]

Hints = list[list[Cell]]


def _hint(text: str, key: str = "", more: str = "") -> list[Cell]:
    return [Cell(f" {text}", "muted"), Cell(key, "key"), Cell(more, "muted")]


def _link_hints(link: LinkState, url: str, now: float) -> Hints | None:
    """Return what to say while there is no connection."""
    if link.connected:
        return None
    lines = [[], [Cell(" Connecting", "warning-bold"), Cell(f" to {url}", "")]]
    if link.error:
        lines.append([Cell(f" {link.error}", "error")])
        lines.append(_hint(f"attempt {link.attempt}; it goes on by itself when the broker answers"))
    return lines


def no_task_hints(state: ClusterState, link: LinkState, now: float, url: str) -> Hints:
    """Return what to say while no task is known."""
    offline = _link_hints(link, url, now)
    if offline is not None:
        return offline
    workers = [
        worker
        for worker in state.workers.values()
        if state.worker_status(worker, now) is not WorkerStatus.GONE
    ]
    since = age(now - link.since) if link.since else "0s"
    lines: Hints = [[], [Cell(" No tasks yet", "bold")]]
    noun = "worker" if len(workers) == 1 else "workers"
    lines.append(_hint(f"connected {since}, {count(len(workers))} {noun}, 0 task events"))
    lines.append([])
    if workers:
        lines.append(_hint("Workers send task events only when asked to:"))
        lines.append(_hint("  on the ", "3", " Workers screen, V switches them on now"))
        lines.append(_hint("  or start workers with -E"))
    else:
        lines.append(_hint("No worker was heard of either. Start one:"))
        lines.append(_hint("  tq worker -A yourapp -E"))
    lines.append([])
    lines.append(_hint("Waiting tasks are seen only if their sender has task_send_sent_event on."))
    return lines


def no_event_hints(state: ClusterState, link: LinkState, now: float, url: str) -> Hints:
    """Return what to say while no event has come."""
    offline = _link_hints(link, url, now)
    if offline is not None:
        return offline
    since = age(now - link.since) if link.since else "0s"
    return [
        [],
        [Cell(" No events yet", "bold")],
        _hint(f"connected {since} to {url}"),
        [],
        _hint("Workers send a heartbeat every two seconds, even without -E. None came:"),
        _hint("  no worker runs, or it is another server, database or virtual host,"),
        _hint("  or workers run with --without-heartbeat and run no task, or without -E"),
        _hint("Start one:  tq worker -A yourapp -E"),
    ]


def searching_hints(share: float) -> Hints:
    """Return what to say while the filter is still being applied."""
    return [[], [Cell(f" Searching {share * 100:.0f}%", "bold")]]


def no_match_hints(culprit: str | None, hidden: bool) -> Hints:
    """Return what to say while tasks are known and none matches."""
    lines: Hints = [[], [Cell(" Nothing matches", "bold")]]
    if culprit:
        lines.append([Cell(" the term that left nothing: ", "muted"), Cell(culprit, "warning")])
    if hidden:
        lines.append(_hint("finished tasks are hidden; ", ".", " shows them"))
    lines.append(_hint("", "esc", " shows everything again"))
    return lines


def no_worker_hints(state: ClusterState, link: LinkState, now: float, url: str) -> Hints:
    """Return what to say while no worker is known."""
    offline = _link_hints(link, url, now)
    if offline is not None:
        return offline
    since = age(now - link.since) if link.since else "0s"
    return [
        [],
        [Cell(" No workers", "bold")],
        _hint(f"connected {since} to {url}, and no worker was heard of"),
        [],
        _hint("Is it the right server, database or virtual host?"),
        _hint("Start a worker:  tq worker -A yourapp -E"),
        _hint("Workers started with --without-heartbeat show when they run a task."),
    ]


def explain_silence(node: str, state: ClusterState, now: float) -> str:
    """Say why a worker may not have answered."""
    worker = state.workers.get(node)
    if worker is None:
        return "never heard of; is the name right?"
    status = state.worker_status(worker, now)
    silent = age(worker.silence(now))
    if status is WorkerStatus.LOST:
        return f"LOST, last heartbeat {silent} ago"
    if status is WorkerStatus.GONE:
        return f"it said good-bye {age(now - (worker.offline_at or now))} ago"
    running = [
        task for task in state.tasks.values() if task.worker == node and task.state == "STARTED"
    ]
    if status is WorkerStatus.BUSY_SILENT and running:
        task = max(running, key=lambda task: now - (task.started or now))
        spent = duration(now - (task.started or now))
        return f"busy in {task.name} for {spent}; heartbeat {silent} ago"
    return f"heartbeat {silent} ago, but no answer: is remote control switched off?"
