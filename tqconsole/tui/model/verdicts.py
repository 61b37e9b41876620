"""Will it finish? What a flow waits for, what broke it, and which part is slow, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tq.monitor import ClusterState, TaskInfo
from tqconsole.tui.model.flow_index import Flow, kind_of
from tqconsole.tui.model.flow_tree import FlowTree, Group
from tqconsole.tui.model.format import age, count, duration
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.task_columns import short_id

__all__ = ["Verdict", "flow_verdict", "group_verdict", "slowest", "verdicts"]

_MOST_VERDICTS = 12
_LONGEST_WHY = 80
_TIMES_USUAL = 2.0  # run time over p95 from which a part is called slow


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence about a flow or a group in it.

    Attributes:
        answer: `done`, `no`, `waits`, `runs` or `unsure`: styles and glyphs go by it.
        text: In words.
        task_id: The task that decides it, to look into.
    """

    answer: str
    text: str
    task_id: str | None = None


def verdicts(
    flow: Flow, tree: FlowTree, state: ClusterState, book: LineageBook, now: float
) -> list[Verdict]:
    """Return what there is to say of a flow: of each group, else of the whole."""
    groups = sorted(tree.groups.values(), key=lambda group: (not group.is_chord, -len(group.parts)))
    found = [group_verdict(group, state, book, now) for group in groups[:_MOST_VERDICTS]]
    if len(groups) > _MOST_VERDICTS:
        more = len(groups) - _MOST_VERDICTS
        found.append(Verdict("unsure", f"and {count(more)} more groups, see the tree"))
    if not groups:
        found.append(flow_verdict(flow, state, now))
    if tree.dropped:
        text = f"{count(tree.dropped)} tasks of this flow are no longer kept here"
        found.append(Verdict("unsure", text))
    return found


def group_verdict(group: Group, state: ClusterState, book: LineageBook, now: float) -> Verdict:
    """Say whether a group will end, and a chord's body run."""
    parts = [state.tasks[part] for part in group.parts if part in state.tasks]
    counts = _by_kind(parts)
    size = group.size or len(parts)
    kind = "chord" if group.is_chord else "group"
    name = f"{kind} {short_id(group.group_id)}"
    body = state.tasks.get(group.body or "")
    if body is not None:
        how = state.status(body, now).lower()
        text = f"{name}: all parts came back, the body {body.name} is {how}"
        answer = {"success": "done", "failure": "no", "revoked": "no"}.get(how, "runs")
        return Verdict(answer, text, body.uuid)
    progress = _progress(counts, size, group, book)
    broken = next((task for task in parts if kind_of(task) in (3, 4)), None)
    if broken is not None:
        return Verdict("no", f"{name}: {_broken(group, broken, progress)}", broken.uuid)
    orphan = next((task for task in parts if state.status(task, now) == "ORPHAN"), None)
    if orphan is not None:
        text = (
            f"{name}: {progress}; {_task(orphan)} ran on {orphan.worker}, which is lost: "
            "it goes on when the broker delivers it again"
        )
        return Verdict("unsure", text, orphan.uuid)
    return _unfinished(name, group, parts, size, progress, state, now)


def _unfinished(
    name: str,
    group: Group,
    parts: Sequence[TaskInfo],
    size: int,
    progress: str,
    state: ClusterState,
    now: float,
) -> Verdict:
    """Say what a group waits for in which nothing went wrong."""
    open_parts = [task for task in parts if kind_of(task) in (0, 1)]
    missing = max(0, size - len(parts))
    if not open_parts and not missing:
        if group.is_chord:
            return Verdict("waits", f"{name}: {progress}; the body was not seen yet")
        return Verdict("done", f"{name}: {progress}")
    slow = slowest(open_parts, state, now)
    words = [progress]
    if missing:
        words.append(_missing(missing, group))
    if slow is not None:
        words.append(f"waits for {_waits(slow, state, now)}")
    running = any(kind_of(task) == 1 for task in open_parts)
    return Verdict("runs" if running else "waits", f"{name}: {'; '.join(words)}",
                   slow.uuid if slow else None)  # fmt: skip


def _missing(number: int, group: Group) -> str:
    if group.told:
        return f"{count(number)} not seen yet: sent and waiting, or not sent"
    return f"{count(number)} still out: which ones is told only when they end"


def _broken(group: Group, task: TaskInfo, progress: str) -> str:
    """Say what a failed part means."""
    why = task.exception or ""
    why = why if len(why) <= _LONGEST_WHY else f"{why[:_LONGEST_WHY]}..."
    what = "was called off" if kind_of(task) == 4 else f"failed{': ' + why if why else ''}"
    then = (
        "its body will NOT run"
        if group.is_chord
        else "if it is a chord's header, the body will NOT run"
    )
    return f"{progress}; {_task(task)} {what}; {then}"


def flow_verdict(flow: Flow, state: ClusterState, now: float) -> Verdict:
    """Say how a flow without groups stands."""
    tasks = [state.tasks[task_id] for task_id in flow.tasks() if task_id in state.tasks]
    progress = f"{count(flow.ended)} of {count(flow.total)} tasks seen are over"
    broken = next((task for task in tasks if kind_of(task) in (3, 4)), None)
    if broken is not None:
        what = "was called off" if kind_of(broken) == 4 else "failed"
        text = f"{progress}; {_task(broken)} {what}: what would follow it is not sent"
        return Verdict("no", text, broken.uuid)
    slow = slowest((task for task in tasks if kind_of(task) in (0, 1)), state, now)
    if slow is not None:
        answer = "runs" if kind_of(slow) == 1 else "waits"
        text = f"{progress}; waits for {_waits(slow, state, now)}"
        return Verdict(answer, text, slow.uuid)
    return Verdict("done", f"{progress}; nothing of it runs or waits")


def slowest(tasks: Iterable[TaskInfo], state: ClusterState, now: float) -> TaskInfo | None:
    """Return what holds the rest up: running longest, else waiting longest."""

    def urgency(task: TaskInfo) -> tuple[bool, float, str]:
        moments = (task.started, task.received, task.sent, task.timestamp)
        since = next((moment for moment in moments if moment is not None), now)
        return (kind_of(task) != 1, since, task.uuid)

    return min(tasks, key=urgency, default=None)


def _waits(task: TaskInfo, state: ClusterState, now: float) -> str:
    """Describe a task that others wait for."""
    status = state.status(task, now)
    if kind_of(task) == 1:
        spent = max(0.0, now - (task.started or task.timestamp or now))
        stats = state.names.get(task.name or "")
        usual = stats.runtimes.percentile(0.95) if stats is not None else None
        note = ""
        if usual is not None:
            slow = spent > _TIMES_USUAL * usual
            note = f", {'SLOW: ' if slow else ''}usually under {duration(usual)}"
        return f"{_task(task)}, running for {duration(spent)} on {task.worker}{note}"
    if status == "STALE":
        sent = age(now - (task.sent or task.local_received))
        return f"{_task(task)}, sent {sent} ago and received by NO worker (queue {task.queue})"
    if task.state == "RETRY":
        return f"the retry of {_task(task)}"
    if task.eta:
        return f"{_task(task)}, due {task.eta}"
    return f"{_task(task)}, {status.lower()} and not started"


def _task(task: TaskInfo) -> str:
    return f"{task.name or '?'} {short_id(task.uuid)}"


def _by_kind(tasks: Iterable[TaskInfo]) -> list[int]:
    counts = [0] * 5
    for task in tasks:
        counts[kind_of(task)] += 1
    return counts


def _progress(counts: Sequence[int], size: int, group: Group, book: LineageBook) -> str:
    """Count what came back of a group, as far as that is known."""
    done = counts[2]
    chord = book.chords.get(group.group_id)
    if chord is not None and chord.size is not None:
        done = max(done, min(chord.returned, chord.size) - counts[3] - counts[4])
    least = "" if group.exact else "at least "
    words = [f"{count(done)} of {least}{count(size)} parts done"]
    for at, word in ((3, "failed"), (4, "called off"), (1, "running"), (0, "waiting")):
        if counts[at]:
            words.append(f"{count(counts[at])} {word}")
    return ", ".join(words)
