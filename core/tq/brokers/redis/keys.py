"""Every Redis key, one function each.

Source: PROTOCOL 1.1, 1.2, 1.7 and RELIABILITY 3.1.
"""

from bisect import bisect
from collections.abc import Mapping
from typing import Any

from tq.errors import ConfigError

__all__ = ["Keys"]


class Keys:
    """Key names under one set of transport options; all participants must agree on these.

    Attributes:
        prefix: `global_keyprefix`, in front of every key and channel.
        sep: Between the parts of priority keys and binding members.
        steps: The priority steps, ascending; the first is the most urgent.
    """

    def __init__(self, options: Mapping[str, Any] | None = None, db: int = 0) -> None:
        """Read kombu's transport options.

        Raises:
            ConfigError: `priority_steps` or `fanout_prefix` make no sense.
        """
        given = options or {}
        self.prefix = str(given.get("global_keyprefix") or "")
        self.sep = str(given.get("sep") or "\x06\x16")
        self.steps = _steps(given.get("priority_steps"))
        steps = [self.steps[bisect(self.steps, priority) - 1] for priority in range(10)]
        self._suffixes = tuple(f"{self.sep}{step}" if step else "" for step in steps)
        self._fanout_prefix = _fanout_prefix(given.get("fanout_prefix", True), db)
        self._fanout_patterns = bool(given.get("fanout_patterns", True))
        self._unacked = str(given.get("unacked_key") or "unacked")
        self._unacked_index = str(given.get("unacked_index_key") or "unacked_index")
        self._unacked_mutex = str(given.get("unacked_mutex_key") or "unacked_mutex")

    # Kombu's own.

    def step(self, priority: int) -> int:
        """Return the step of a priority: the largest not above it (kombu: `Channel.priority`)."""
        return self.steps[bisect(self.steps, min(max(priority, 0), 9)) - 1]

    def step_suffix(self, priority: int) -> str:
        """Return what follows a queue's name for a priority; empty for the first step."""
        return self._suffixes[priority if 0 <= priority <= 9 else min(max(priority, 0), 9)]

    def queue(self, name: str, priority: int = 0) -> str:
        """Name the list of a queue's ready messages (kombu: `Channel._q_for_pri`)."""
        return f"{self.prefix}{name}{self.step_suffix(priority)}"

    def queue_steps(self, name: str) -> list[str]:
        """Name all lists of a queue, the most urgent first."""
        return [self.queue(name, step) for step in self.steps]

    def unacked(self) -> str:
        """Name the hash tag -> `[envelope, exchange, routing key]` (kombu: `unacked_key`)."""
        return self.prefix + self._unacked

    def unacked_index(self) -> str:
        """Name the sorted set tag -> last sign of life (kombu: `unacked_index_key`)."""
        return self.prefix + self._unacked_index

    def unacked_mutex(self) -> str:
        """Name the lock of kombu's restore sweep (kombu: `unacked_mutex_key`)."""
        return self.prefix + self._unacked_mutex

    def binding(self, exchange: str) -> str:
        """Name an exchange's routing table (kombu: `keyprefix_queue`)."""
        return f"{self.prefix}_kombu.binding.{exchange}"

    def binding_permanent(self, exchange: str) -> str:
        """Name the part of it without expiry (kombu 5.7: `keyprefix_binding_permanent`)."""
        return f"{self.prefix}_kombu.binding_permanent.{exchange}"

    def binding_deadlines(self) -> str:
        """Name the sorted set exchange -> deadline (kombu 5.7: `keyprefix_binding_deadlines`)."""
        return f"{self.prefix}_kombu.binding_deadlines"

    def binding_member(self, routing_key: str, pattern: str, queue: str) -> str:
        """Write a member of a routing table (kombu: `Channel._queue_bind`)."""
        return self.sep.join((routing_key, pattern, queue))

    def channel(self, exchange: str, routing_key: str = "") -> str:
        """Name a fanout exchange's channel (kombu: `Channel._get_publish_topic`)."""
        name = f"{self.prefix}{self._fanout_prefix}{exchange}"
        return f"{name}/{routing_key}" if routing_key and self._fanout_patterns else name

    def channel_pattern(self, exchange: str, routing_key: str = "") -> str:
        """Name what a receiver subscribes to (kombu: `Channel._get_subscribe_topic`)."""
        return self.channel(exchange, routing_key.replace("#", "*"))

    # Ours; kombu does not know them.

    def consumers(self) -> str:
        """Name the sorted set consumer id -> end of its lease, by the server's clock."""
        return f"{self.prefix}tq:consumers"

    def tags(self, consumer_id: str) -> str:
        """Name the set of the tags that a consumer owns."""
        return f"{self.prefix}tq:c:{consumer_id}:tags"

    def started(self, consumer_id: str) -> str:
        """Name the hash tag -> envelope of what was acknowledged early and still runs."""
        return f"{self.prefix}tq:c:{consumer_id}:started"

    def inboxes(self, consumer_id: str) -> str:
        """Name the hash inbox -> queue list, with which a reaper empties a dead one's inboxes."""
        return f"{self.prefix}tq:c:{consumer_id}:inboxes"

    def inbox(self, consumer_id: str, queue: str) -> str:
        """Name the list into which a waiting consumer's BLMOVE puts what it woke up for."""
        return f"{self.prefix}tq:c:{consumer_id}:inbox:{queue}"

    def info(self, consumer_id: str) -> str:
        """Name the hash that a console reads about a consumer; lives as long as its lease."""
        return f"{self.prefix}tq:c:{consumer_id}:info"

    def delayed(self) -> str:
        """Name the sorted set `tag list-key` -> ETA of what is parked."""
        return f"{self.prefix}tq:delayed"

    def sequence(self) -> str:
        """Name the counter that makes tags unique per delivery."""
        return f"{self.prefix}tq:seq"

    def dead(self) -> str:
        """Name the list of dead letters, newest first."""
        return f"{self.prefix}tq:dead"

    def dead_bytes(self) -> str:
        """Name the counter of the bytes that lie in the dead letters."""
        return f"{self.prefix}tq:dead:bytes"

    def revoked(self) -> str:
        """Name the sorted set task id -> expiry of its revocation."""
        return f"{self.prefix}tq:revoked"

    def beat_lock(self, scope: str) -> str:
        """Name the lock of the beat that leads, with its lease and fence."""
        return f"{self.prefix}tq:lock:beat{scope}"

    def beat_fence(self, scope: str) -> str:
        """Name the counter that numbers the holds of that lock."""
        return f"{self.prefix}tq:lock:beat{scope}:fence"

    def beat_progress(self, scope: str) -> str:
        """Name the hash entry -> the slot it ran last, when, and how often."""
        return f"{self.prefix}tq:beat{scope}"

    def beat_slot(self, task_id: str) -> str:
        """Name the claim of one slot, by the id of its task, which no other slot has."""
        return f"{self.prefix}tq:beat:slot:{task_id}"


def _steps(value: Any) -> list[int]:
    """Check `priority_steps`."""
    if value is None:
        return [0, 3, 6, 9]
    try:
        steps = sorted({int(step) for step in value})
    except (TypeError, ValueError):
        steps = []
    if not steps or steps[0] != 0:
        raise ConfigError(f"priority_steps must be numbers that begin with 0, not {value!r}")
    return steps


def _fanout_prefix(value: Any, db: int) -> str:
    """Check `fanout_prefix`: True means `/{db}.`, text replaces it, False drops it."""
    if value is True:
        return f"/{db}."
    if not value:
        return ""
    text = str(value).format(db=db)
    if not (text.startswith("/") and text.endswith(".")):
        raise ConfigError(f"fanout_prefix must begin with / and end with ., not {value!r}")
    return text
