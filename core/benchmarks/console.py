"""What the console costs, on a synthetic cluster: frames, filters, ingest.

Run as `python core/benchmarks/console.py [TASKS]` from the project's folder. Figures are the best
of several runs, in milliseconds of one core; the goals are those of the console's brief.
"""

import asyncio
import json
import platform
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tq.errors import CommandRefused
from tq.monitor import ClusterState, TaskInfo, WaitingTask
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.model.event_log import EventLog
from tqconsole.tui.model.facts import LinkState, QueueFacts, TimeLimit, WorkerFacts
from tqconsole.tui.model.filters import parse
from tqconsole.tui.model.format import glyphs
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.resending import Resend, Verdict
from tqconsole.tui.model.schedule_book import ScheduleBook
from tqconsole.tui.model.sent import SentCommand
from tqconsole.tui.model.tasks import TaskRows
from tqconsole.tui.screens.tasks import TasksScreen
from tqconsole.tui.widgets.line_bar import LineBar
from tqconsole.tui.widgets.live_table import LiveTable
from tqconsole.tui.widgets.text_pager import TextPager

NAMES = ("billing.charge", "mail.send", "crawl.fetch", "reports.build", "images.resize")
WORKERS = tuple(f"w{number}@node{number % 4}" for number in range(8))
OUTCOMES = ("succeeded",) * 8 + ("failed", "started")
FILTERS = (
    "state:failure",
    "state:failure name:mail.*",
    "name:billing -worker:w1@*",
    "insufficient",
    "runtime>1s",
    "/insuff.*funds/",
)
BATCH = 2_000


class Synthetic:
    """A cluster made of events that are applied at once."""

    context, url, read_only = "bench", "redis://localhost/0", True

    def __init__(self, tasks: int) -> None:
        """Fill with `tasks` tasks."""
        self.state = ClusterState(max_tasks=max(tasks, 1_000))
        self.link = LinkState(connected=True, since=time.time(), lag=0.0)
        self.queues: Sequence[QueueFacts] = ()
        self.commands: Sequence[SentCommand] = ()
        self.limits: Mapping[str, TimeLimit] = {}
        self.events, self.lineage, self.schedules = EventLog(), LineageBook(), ScheduleBook()
        self.waiting: list[dict[str, Any]] = []
        self.spent = 0.0
        self.count = 0
        self._dice = random.Random(7)
        self._number = 0
        for _ in range(0, tasks, BATCH):
            self.arrive(min(BATCH, tasks))

    def arrive(self, tasks: int) -> None:
        """Apply the events of so many tasks."""
        now = time.time()
        events = [event for _ in range(tasks) for event in self.task(now)]
        begin = time.perf_counter()
        self.state.apply_many(events, now)
        self.spent += time.perf_counter() - begin
        self.count += len(events)

    def task(self, now: float) -> list[dict[str, Any]]:
        """Make the events of one task."""
        dice, self._number = self._dice, self._number + 1
        uuid = f"{dice.getrandbits(32):08x}-5b1e-4d0c-9f1a-{self._number:012x}"
        worker, name = dice.choice(WORKERS), dice.choice(NAMES)
        base = {"uuid": uuid, "hostname": worker, "timestamp": now, "local_received": now}
        base |= {"clock": self._number, "pid": 4182, "utcoffset": 0}
        begun = {"args": f"({self._number},)", "kwargs": "{'currency': 'EUR'}", "name": name}
        events = [
            {**base, "type": "task-received", **begun, "retries": 0, "root_id": uuid},
            {**base, "type": "task-started"},
        ]
        outcome = dice.choice(OUTCOMES)
        if outcome == "succeeded":
            events.append(
                {**base, "type": "task-succeeded", "result": "'ok'", "runtime": dice.random() * 2}
            )
        elif outcome == "failed":
            error = {"exception": "CardDeclined('insufficient_funds')", "traceback": "Traceback"}
            events.append({**base, "type": "task-failed", **error})
        return events

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def drain(self, now: float) -> bool:
        """Nothing arrives by itself."""
        return False

    def refresh(self) -> None:
        """Nobody is asked."""

    def facts(self, hostname: str) -> WorkerFacts | None:
        """Return what is made up for a worker."""
        return WorkerFacts(pool="prefork", size=8, prefetch=32, queues=("default",))

    def expected(self, destination: Sequence[str] | None) -> tuple[str, ...]:
        """Return nobody."""
        return ()

    def read_lineage(self, tasks: Sequence[str], groups: Sequence[str]) -> None:
        """Nobody is asked."""

    def read_schedules(self) -> None:
        """Nobody is asked."""

    def peek(
        self, queue: str, limit: int, done: Callable[[Sequence[WaitingTask] | str], None]
    ) -> None:
        """Show nothing."""
        done("a benchmark has no queues")

    def find_calls(
        self, tasks: Sequence[TaskInfo], done: Callable[[Sequence[Verdict]], None]
    ) -> None:
        """Find nothing."""
        done(())

    def purge(self, queue: str) -> SentCommand:
        """Refuse."""
        return self.send("purge", {})

    def resend(self, calls: Sequence[Resend]) -> SentCommand:
        """Refuse."""
        return self.send("resend", {})

    def send(
        self,
        method: str,
        arguments: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> SentCommand:
        """Refuse everything."""
        raise CommandRefused("a benchmark sends nothing", command=method, reason="read_only")


def best(work: Callable[[], object], runs: int = 15) -> float:
    """Return the shortest of several runs, in milliseconds."""
    work()
    found = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return round(min(found) * 1000, 2)


def filters(source: Synthetic) -> dict[str, float]:
    """Measure whole searches and the longest step that one frame takes of them."""
    figures: dict[str, float] = {}
    rows = TaskRows(source.state, glyphs())
    rows.update(time.time())
    for text in FILTERS:
        rows.filter = parse(text)

        def whole() -> None:
            rows.rebuild()
            rows.finish_search()

        figures[f"filter {text}"] = best(whole, 5)
    rows.filter = parse("insufficient")
    rows.rebuild()
    steps = []
    while rows.searched < 1:
        begin = time.perf_counter()
        rows.update(time.time())
        steps.append(time.perf_counter() - begin)
    figures["filter step, longest"] = round(max(steps, default=0.0) * 1000, 2)
    return figures


def draw_all(app: ConsoleApp) -> None:
    """Have every line of the screen drawn anew, and composed."""
    for widget in app.screen.query("*"):
        if isinstance(widget, LiveTable | LineBar | TextPager):
            widget.redraw()
    app.screen._compositor.render_strips()  # noqa: SLF001 - textual has no public way


async def frames(source: Synthetic, size: tuple[int, int], screen: str) -> dict[str, float]:
    """Measure a full repaint, a frame in which nothing changed, and one with 500 new tasks."""
    app = ConsoleApp(source, ConsoleConfig(screen=screen), ticking=False)
    label = f"{screen} {size[0]}x{size[1]}"
    async with app.run_test(size=size) as pilot:
        for _ in range(3):
            app.frame()
            await pilot.pause()

        figures = {
            f"repaint {label}": best(lambda: draw_all(app)),
            f"frame, nothing new, {label}": best(app.frame),
        }
        busy = []
        for _ in range(10):
            source.arrive(500)
            begin = time.perf_counter()
            app.frame()
            busy.append(time.perf_counter() - begin)
            await pilot.pause()
        figures[f"frame, 500 new tasks, {label}"] = round(sorted(busy)[len(busy) // 2] * 1000, 2)
        if isinstance(app.screen, TasksScreen):
            figures[f"pause {label}"] = best(app.screen.do_pause, 2)
    return figures


def main() -> None:
    """Measure, and print one JSON object."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = Synthetic(tasks)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()} {platform.python_version()}",
        "tasks": len(source.state.tasks),
        "ingest, microseconds an event": round(source.spent / source.count * 1e6, 2),
        "memory, bytes a task": round((after - before) * 1024 / len(source.state.tasks)),
    }
    figures |= filters(source)
    for size in ((80, 24), (160, 48)):
        for screen in ("tasks", "overview", "failures"):
            figures |= asyncio.run(frames(source, size, screen))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
