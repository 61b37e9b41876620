"""A cluster that exists only as events: the same figures on every machine, at a time of its own."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tq.errors import CommandRefused
from tq.monitor import ClusterState, TaskInfo, WaitingTask
from tqconsole.tui.model.equivalents import control_line, purge_line
from tqconsole.tui.model.event_log import EventLog
from tqconsole.tui.model.facts import LinkState, QueueFacts, TimeLimit, WorkerFacts
from tqconsole.tui.model.lineage import LineageBook
from tqconsole.tui.model.resending import Resend, Verdict, from_event, resend_line
from tqconsole.tui.model.schedule_book import ScheduleBook
from tqconsole.tui.model.sent import Answer, SentCommand

START = 1_767_276_452.0  # 2026-01-01 14:07:32 UTC

TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/celery/app/trace.py", line 564, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/venv/lib/python3.11/site-packages/celery/app/trace.py", line 897, in __protected_call__
    return self.run(*args, **kwargs)
  File "/srv/app/billing/tasks.py", line 41, in charge
    resp = gateway.charge(cust, amount, card)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/app/billing/gateway.py", line 118, in charge
    raise CardDeclined(resp.reason)
billing.errors.CardDeclined: insufficient_funds
"""

READS = frozenset({"ping", "active", "stats", "active_queues", "registered", "conf"})


class Clock:
    """Time that stands until a test moves it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class SyntheticSource:
    """A source whose events and replies the test decides on."""

    def __init__(
        self, clock: Clock | None = None, *, read_only: bool = False, context: str = "staging"
    ) -> None:
        self.clock = clock or Clock()
        self.read_only = read_only
        self.context = context
        self.url = "redis://10.0.0.5:6379/0"
        self.state = ClusterState()
        self.events = EventLog()
        self.lineage = LineageBook()
        self.schedules = ScheduleBook()
        self.looked = 0
        self.asked_lineage: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.link = LinkState(connected=True, since=self.clock() - 12, lag=0.1)
        self.queues: list[QueueFacts] = []
        self.limits: dict[str, TimeLimit] = {}
        self.commands: list[SentCommand] = []
        self.known: dict[str, WorkerFacts] = {}
        self.pending: list[dict[str, Any]] = []
        self.started = self.stopped = False
        self.recorded: dict[str, Resend] = {}  # what a result backend would know
        self.resent: list[Resend] = []
        self.lying: dict[str, Sequence[WaitingTask] | str] = {}  # what lies in the queues
        self.refreshed = 0

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True

    def drain(self, now: float) -> bool:
        batch, self.pending = self.pending, []
        self.events.note_gaps(self.link.gaps)
        if batch:
            self.events.take(batch, now)
            self.state.apply_many(batch, now)
        self.state.tick(now)
        return bool(batch)

    def facts(self, hostname: str) -> WorkerFacts | None:
        return self.known.get(hostname)

    def read_lineage(self, tasks: Sequence[str], groups: Sequence[str]) -> None:
        self.asked_lineage.append((tuple(tasks), tuple(groups)))

    def read_schedules(self) -> None:
        self.looked += 1

    def refresh(self) -> None:
        self.refreshed += 1

    def expected(self, destination: Sequence[str] | None) -> tuple[str, ...]:
        return tuple(sorted(destination or [w for w in self.state.workers if w != "gone@old-1"]))

    def send(
        self,
        method: str,
        arguments: Mapping[str, Any],
        destination: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> SentCommand:
        if self.read_only and method not in READS:
            raise CommandRefused(
                f"{method} is refused: this connection is read-only", command=method
            )
        sent = SentCommand(
            number=len(self.commands) + 1,
            method=method,
            arguments=dict(arguments),
            destination=destination,
            equivalent=control_line(method, arguments, destination, timeout),
            sent_at=self.clock(),
            timeout=timeout or 1.0,
            expected=self.expected(destination),
        )
        self.commands.append(sent)
        return sent

    def _errand(self, method: str, line: str, total: int, **arguments: Any) -> SentCommand:
        if self.read_only:
            raise CommandRefused(f"{method} is refused: this console is read-only", command=method)
        sent = SentCommand(
            number=len(self.commands) + 1,
            method=method,
            arguments=arguments,
            destination=None,
            equivalent=line,
            sent_at=self.clock(),
            timeout=0.0,
            expected=(),
            total=total,
        )
        self.commands.append(sent)
        return sent

    def purge(self, queue: str) -> SentCommand:
        return self._errand("purge", purge_line(queue), 1, queue=queue)

    def peek(
        self, queue: str, limit: int, done: Callable[[Sequence[WaitingTask] | str], None]
    ) -> None:
        found = self.lying.get(queue, ())
        done(found if isinstance(found, str) else found[:limit])

    def find_calls(
        self, tasks: Sequence[TaskInfo], done: Callable[[Sequence[Verdict]], None]
    ) -> None:
        done([self.recorded.get(task.uuid) or from_event(task) for task in tasks])

    def resend(self, calls: Sequence[Resend]) -> SentCommand:
        ids = [call.task_id for call in calls]
        sent = self._errand("resend", resend_line(ids), len(ids), task_id=ids)
        self.resent.extend(calls)
        return sent

    def answer(
        self, sent: SentCommand, node: str, text: str = "ok", ok: bool = True, after: float = 0.014,
        value: Any = None,
    ) -> None:  # fmt: skip
        sent.answers.append(Answer(node, ok, text, after, after > sent.timeout, value))

    def disconnect(self, attempt: int = 2) -> None:
        self.link = replace(
            self.link,
            connected=False,
            since=self.clock(),
            attempt=attempt,
            error="broker redis://10.0.0.5:6379/0 does not answer: connection refused",
        )

    # Events

    def event(self, type_: str, **fields: Any) -> None:
        now = fields.pop("timestamp", self.clock())
        hostname = fields.pop("hostname", "w1@node1")
        base = {
            "type": type_,
            "hostname": hostname,
            "timestamp": now,
            "local_received": now,
            "utcoffset": 0,
            "pid": 4182,
            "clock": len(self.pending) + 1,
        }
        self.pending.append(base | fields)

    def worker(
        self,
        hostname: str,
        *,
        ago: float = 0.4,
        active: int = 0,
        processed: int = 0,
        load: float = 0.5,
        size: int | None = 8,
        pool: str = "prefork",
        freq: float = 2.0,
        queues: tuple[str, ...] = ("default",),
    ) -> None:
        now = self.clock()
        ident = {"sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux"}
        beat = {
            "freq": freq,
            "active": active,
            "processed": processed,
            "loadavg": [load, load, load],
            **ident,
        }
        self.event("worker-heartbeat", hostname=hostname, timestamp=now - ago - freq, **beat)
        self.event("worker-heartbeat", hostname=hostname, timestamp=now - ago, **beat)
        if size is not None:
            self.known[hostname] = WorkerFacts(
                pool=pool, size=size, prefetch=size * 4, queues=queues, as_of=now
            )

    def task(
        self,
        task_id: str,
        name: str,
        *,
        worker: str = "w1@node1",
        queue: str = "default",
        ago: float = 10.0,
        outcome: str = "succeeded",
        runtime: float = 0.31,
        args: str = "(81723,)",
        kwargs: str = "{}",
        exception: str = "CardDeclined('insufficient_funds')",
        traceback: str = TRACEBACK,
        retries: int = 0,
        root: str | None = None,
        parent: str | None = None,
        group: str | None = None,
        index: int | None = None,
        eta: str | None = None,
    ) -> None:
        begin = self.clock() - ago
        relations: dict[str, Any] = {"root_id": root or task_id, "parent_id": parent, "eta": eta}
        if group is not None:
            relations |= {"group_id": group, "group_index": index}
        self.event(
            "task-sent",
            uuid=task_id,
            name=name,
            args=args,
            kwargs=kwargs,
            retries=retries,
            queue=queue,
            routing_key=queue,
            exchange="",
            expires=None,
            **relations,
            hostname="gen4411@web3",
            timestamp=begin,
        )
        if outcome == "sent":
            return
        self.event(
            "task-received",
            uuid=task_id,
            name=name,
            args=args,
            kwargs=kwargs,
            retries=retries,
            expires=None,
            **relations,
            hostname=worker,
            timestamp=begin + 0.004,
        )
        if outcome == "received":
            return
        if outcome == "revoked":
            self.event(
                "task-revoked",
                uuid=task_id,
                hostname=worker,
                terminated=False,
                signum=None,
                expired=False,
                timestamp=begin + 0.02,
            )
            return
        self.event("task-started", uuid=task_id, hostname=worker, timestamp=begin + 0.021)
        end = begin + 0.021 + runtime
        if outcome == "succeeded":
            self.event(
                "task-succeeded",
                uuid=task_id,
                hostname=worker,
                result="'ok'",
                runtime=runtime,
                timestamp=end,
            )
        elif outcome == "failed":
            self.event(
                "task-failed",
                uuid=task_id,
                hostname=worker,
                exception=exception,
                traceback=traceback,
                timestamp=end,
            )
        elif outcome == "retried":
            self.event(
                "task-retried",
                uuid=task_id,
                hostname=worker,
                exception=exception,
                traceback=traceback,
                timestamp=end,
            )


WORKERS = (
    ("w1@node1", 0.6, 8, 8, 3.1, "prefork", ("default", "billing")),
    ("w2@node1", 1.1, 5, 8, 2.2, "prefork", ("default", "billing")),
    ("w4@node3", 1.3, 1, 1, 1.0, "solo", ("reports",)),
    ("w5@node2", 0.2, 0, 16, 1.9, "prefork", ("mail",)),
    ("w6@node2", 0.9, 9, 32, 0.8, "threads", ("crawl", "mail")),
)
NAMES = (
    ("billing.charge", "billing", 0.31),
    ("billing.invoice.render", "billing", 2.4),
    ("crawl.fetch", "crawl", 0.8),
    ("mail.send", "mail", 0.05),
    ("reports.build", "reports", 41.2),
)
OUTCOMES = ("succeeded",) * 7 + ("failed", "retried", "started", "received", "sent", "revoked")


def demo_cluster(tasks: int = 60, *, seed: int = 7, **options: Any) -> SyntheticSource:
    """A cluster with workers in every state and tasks in every state."""
    source = SyntheticSource(**options)
    chance = random.Random(seed)
    for name, *_ in WORKERS:
        beat = {"freq": 2.0, "active": 0, "processed": 4000, "loadavg": [0.5, 0.5, 0.5]}
        source.event("worker-heartbeat", hostname=name, timestamp=source.clock() - 900, **beat)
    source.worker("w3@node7", ago=48.0, active=6, size=16, load=0.1, processed=812)
    source.worker("gone@old-1", ago=90.0, size=None)
    source.event("worker-offline", hostname="gone@old-1", timestamp=source.clock() - 80, freq=2.0)
    workers = [name for name, *_ in WORKERS]
    for number in range(tasks):
        task_id = f"{chance.getrandbits(32):08x}-5b1e-4d0c-9f1a-{number:012x}"
        name, queue, runtime = NAMES[chance.randrange(len(NAMES))]
        outcome = OUTCOMES[chance.randrange(len(OUTCOMES))]
        ago = (tasks - number) * 2.0
        source.task(
            task_id,
            name,
            worker="w3@node7" if number in (tasks // 3, tasks // 3 + 4) else chance.choice(workers),
            queue=queue,
            ago=ago,
            outcome="started" if number in (tasks // 3, tasks // 3 + 4) else outcome,
            runtime=min(runtime * chance.uniform(0.5, 1.5), ago * 0.8),
            args=f"({81700 + number},)",
            kwargs="{'amount': '19.90', 'currency': 'EUR'}" if "billing" in name else "{}",
            retries=chance.randrange(3) if outcome in ("failed", "retried") else 0,
        )
    started = Counter(e["hostname"] for e in source.pending if e["type"] == "task-started")
    for name, ago, active, size, load, pool, queues in WORKERS:
        source.worker(
            name,
            ago=ago,
            active=active,
            size=size,
            load=load,
            pool=pool,
            processed=4000 + started[name],
            queues=queues,
        )
    source.pending.sort(key=lambda event: event["timestamp"])
    source.drain(source.clock())
    return source
