"""What waits for its time: periodic tasks, and single ones with an ETA, and who told of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tq.saferepr import safe_text

__all__ = ["BeatEntry", "Planned", "ScheduleBook", "moment_of", "read_scheduled"]

_TEXT = 1024


@dataclass(frozen=True, slots=True)
class BeatEntry:
    """One entry of `beat_schedule`.

    Attributes:
        schedule: In words.
        next_due: Wall timestamp, or None for never.
        last_run_at: Likewise.
        runs: How often it was sent.
    """

    name: str
    task: str
    schedule: str
    next_due: float | None
    last_run_at: float | None
    runs: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that waits for its time.

    Attributes:
        due: Wall timestamp, or None where it cannot be read.
        holder: The worker that holds it, or `broker`.
        why: `eta`, or `retry` for one that ran before.
    """

    id: str
    name: str
    due: float | None
    holder: str
    queue: str = ""
    args: str = ""
    kwargs: str = ""
    why: str = "eta"


@dataclass(frozen=True, slots=True)
class ScheduleBook:
    """What was found at the last look.

    Attributes:
        as_of: Wall timestamp of the look; 0 before the first.
        entries: Periodic tasks, the next due first.
        leader: The beat that sends; None when none runs, "" when nobody can tell.
        entries_error: Why the entries cannot be read.
        planned: Tasks with an ETA that workers and broker told of.
        parked: How many the broker holds until their time; None when it cannot tell.
        planned_error: Why the broker could not be asked.
        answered: Workers that said what they hold.
    """

    as_of: float = 0.0
    entries: tuple[BeatEntry, ...] = ()
    leader: str | None = ""
    entries_error: str | None = None
    planned: tuple[Planned, ...] = ()
    parked: int | None = None
    planned_error: str | None = None
    answered: tuple[str, ...] = ()


def moment_of(text: object) -> float | None:
    """Read an ISO 8601 text as a wall timestamp; without an offset it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def read_scheduled(node: str, reply: Any) -> Iterable[Planned]:
    """Read one worker's answer to `scheduled`; nothing of it is trusted.

    Source: celery/worker/control.py, `scheduled`: `[{eta, priority, request}]`.
    """
    for item in reply if isinstance(reply, Sequence) and not isinstance(reply, str) else ():
        request = item.get("request") if isinstance(item, Mapping) else None
        if not isinstance(request, Mapping) or not request.get("id"):
            continue
        delivery = request.get("delivery_info")
        key = delivery.get("routing_key") if isinstance(delivery, Mapping) else None
        yield Planned(
            id=_text(request["id"]),
            name=_text(request.get("name") or request.get("type") or ""),
            due=moment_of(item.get("eta")),
            holder=_text(node),
            queue=_text(key or ""),
            args=_text(request.get("args") or ""),
            kwargs=_text(request.get("kwargs") or ""),
        )


def _text(value: Any) -> str:
    return safe_text(value, _TEXT)
