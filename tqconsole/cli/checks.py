"""What `tq doctor` looks at, and what it makes of it."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tq.control import Control
from tqconsole.cli.confirm import plural
from tqconsole.cli.listening import receiver

if TYPE_CHECKING:
    from tq import TQ
    from tq.brokers.redis.checkup import Facts

__all__ = ["Finding", "Observed", "check_server", "check_workers", "observe"]

_POLL = 0.05
_DRIFT = 2.0  # seconds; Celery warns from 16 on, but leases are shorter than that
_OLDEST = (6, 2)
_VISIBILITY = 3600.0  # Celery's default
# The first release of each line with CVE-2025-49844 (code execution by a script) repaired.
_REPAIRED: dict[str, tuple[tuple[int, ...], ...]] = {
    "redis": ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
    "valkey": ((7, 2, 11), (8, 0, 6), (8, 1, 4)),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `level` is `ok`, `info`, `warning` or `error`."""

    level: str
    about: str
    finding: str
    advice: str = ""

    def row(self) -> dict[str, str]:
        """Return it for printing."""
        return {
            "level": self.level,
            "about": self.about,
            "finding": self.finding,
            "advice": self.advice,
        }


@dataclass
class Observed:
    """What the workers said and sent.

    Attributes:
        seconds: How long was listened.
        bound: Names that have a mailbox on the broker.
        conf: What each worker answered to `conf`.
        stats: What each worker answered to `stats`.
        drifts: By worker, the seconds its clock is behind ours, as little as any event shows.
        tellers: Workers that sent task events.
        accepted: By worker, how many tasks it says it has accepted: at first, and at last.
    """

    seconds: float
    bound: set[str] = field(default_factory=set)
    conf: dict[str, dict[str, Any]] = field(default_factory=dict)
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    drifts: dict[str, float] = field(default_factory=dict)
    tellers: set[str] = field(default_factory=set)
    accepted: dict[str, tuple[int, int]] = field(default_factory=dict)


def observe(app: "TQ", seconds: float) -> Observed:
    """Listen to events and ask the workers, for some seconds."""
    control, events = Control(app, read_only=True), receiver(app)
    seen = Observed(seconds, bound=control.bound())
    events.start()
    try:
        calls = {
            name: control.start(name, timeout=seconds, expect=()) for name in ("conf", "stats")
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for batch in events.drain():
                for event in batch.events:
                    _take_event(seen, event, batch.arrived)
            for name, call in calls.items():
                for reply in call.poll():
                    if isinstance(reply.value, dict):
                        getattr(seen, name)[reply.node] = reply.value
            time.sleep(_POLL)
    finally:
        events.close()
        control.close()
    return seen


def _take_event(seen: Observed, event: Any, arrived: float) -> None:
    node, kind, sent = event.get("hostname"), event.get("type"), event.get("timestamp")
    if not isinstance(node, str) or not isinstance(sent, int | float):
        return
    if kind == "worker-heartbeat":
        drift = arrived - sent
        if node not in seen.drifts or abs(drift) < abs(seen.drifts[node]):
            seen.drifts[node] = drift
        seen.software[node] = str(event.get("sw_ident") or "?")
        count = event.get("processed")
        if isinstance(count, int):
            first, _ = seen.accepted.get(node, (count, count))
            seen.accepted[node] = (first, count)
    elif isinstance(kind, str) and kind.startswith("task-") and kind != "task-sent":
        seen.tellers.add(node)


def check_server(facts: "Facts", dead: int) -> list[Finding]:
    """Judge a Redis server."""
    name = f"{facts.engine} {facts.release or facts.version}"
    found = []
    if _version(facts.version) < _OLDEST:
        found.append(
            Finding("error", "broker", f"{name} is too old", "tq needs Redis 6.2, or Valkey")
        )
    else:
        found.append(Finding("ok", "broker", f"{name}, {plural(facts.consumers, 'tq consumer')}"))
    if _version(facts.version) >= _OLDEST and _is_open(facts):
        found.append(
            Finding(
                "info",
                "broker",
                f"{name} is older than the repair of CVE-2025-49844 (scripts), unless its packager "
                "has put it in",
                "update it; let only trusted users connect (tq acl)",
            )
        )
    if facts.policy != "noeviction":
        found.append(
            Finding(
                "error" if facts.maxmemory else "warning",
                "memory",
                f"maxmemory-policy is {facts.policy}: tasks can be deleted when memory is full",
                "CONFIG SET maxmemory-policy noeviction",
            )
        )
    if not facts.aof:
        found.append(
            Finding(
                "warning",
                "persistence",
                "no append-only file: a crash of the server loses tasks",
                "CONFIG SET appendonly yes",
            )
        )
    if facts.rdb_failed:
        found.append(Finding("error", "persistence", "the last snapshot failed", "see its log"))
    found += _clock("broker", facts.drift)
    if dead:
        found.append(
            Finding(
                "warning", "dead letters", f"{plural(dead, 'message')} given up", "tq dead list"
            )
        )
    if facts.orphans:
        found.append(
            Finding(
                "warning",
                "orphans",
                f"{plural(len(facts.orphans), 'key')} of consumers that are gone: "
                f"{facts.orphans[0]}",
                "start a tq worker on these queues: it takes them over",
            )
        )
    return found


def check_workers(seen: Observed, lease: float) -> list[Finding]:
    """Judge the workers; `lease` is what tq workers hold their messages for, in seconds."""
    nodes = sorted({*seen.conf, *seen.stats, *seen.drifts})
    found = [Finding("ok", "workers", f"{len(nodes)} answer or send events")]
    if not nodes:
        found = [Finding("warning", "workers", "no worker answers", "tq worker -A APP")]
    gone = sorted(seen.bound.difference(nodes))
    if gone:
        found.append(
            Finding("info", "workers", f"a mailbox, but no answer: {', '.join(gone[:10])}")
        )
    for node in nodes:
        found += _check_worker(node, seen, lease)
    return found


def _check_worker(node: str, seen: Observed, lease: float) -> list[Finding]:
    found = []
    conf = seen.conf.get(node, {})
    if node in seen.drifts:
        found += _clock(node, -seen.drifts[node])
    elif seen.seconds >= 2.5:  # heartbeats come every two seconds
        found.append(
            Finding(
                "warning", node, "no heartbeat was heard", "start it without --without-heartbeat"
            )
        )
    if node not in seen.stats:
        found.append(Finding("warning", node, "does not answer remote control"))
    found += _check_events(node, seen)
    options = conf.get("broker_transport_options")
    given = options.get("visibility_timeout") if isinstance(options, dict) else None
    timeout = float(given) if isinstance(given, int | float) else _VISIBILITY
    if not seen.software.get(node, "tq").startswith("tq") and timeout <= lease:
        found.append(
            Finding(
                "error",
                node,
                f"visibility_timeout {timeout:g} s is not longer than tq's lease of {lease:g} s: "
                "it takes running tasks away",
                "raise visibility_timeout there",
            )
        )
    return found


def _check_events(node: str, seen: Observed) -> list[Finding]:
    """Judge whether a worker tells of its tasks; only tq's say so when asked."""
    if node in seen.tellers:
        return []
    on = seen.stats.get(node, {}).get("task_events")
    if on is None and seen.conf.get(node, {}).get("worker_send_task_events"):
        on = True
    first, last = seen.accepted.get(node, (0, 0))
    if on is False:
        text = "task events are off: consoles do not see its tasks"
    elif on is None and last > first:
        ran = plural(last - first, "task")
        text = f"it accepted {ran} and told of none: task events are off"
    elif on is None and node in seen.stats:
        return [Finding("info", node, "it had no task meanwhile: its task events may be off")]
    else:
        return []
    return [
        Finding("warning", node, text, f"start it with -E, or tq control enable_events -d {node}")
    ]


def _clock(about: str, ahead: float) -> list[Finding]:
    if abs(ahead) < _DRIFT:
        return []
    way = "ahead of" if ahead > 0 else "behind"
    return [
        Finding(
            "warning", about, f"its clock is {abs(ahead):.1f} s {way} this machine's", "use NTP"
        )
    ]


def _version(text: str, parts: int = 2) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:parts] if part.isdigit())


def _is_open(facts: "Facts") -> bool:
    """Tell whether a server is of a release without the repair, by its own number."""
    number = _version(facts.release or facts.version, 3)
    repaired = _REPAIRED.get(facts.engine, ())
    for release in repaired:
        if number[:2] == release[:2]:
            return number < release
    return bool(repaired) and number < max(repaired)
