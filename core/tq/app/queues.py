"""The queues an application knows: declared, created on the fly, and those a worker consumes.

Source: celery/app/amqp.py, `Queues`; SETTINGS.md, `task_queues`, `task_create_missing_*`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tq.brokers.base import Exchange, Queue
from tq.config import Settings
from tq.errors import ConfigError, QueueNotFound

__all__ = ["Queues", "as_exchange", "as_queue"]

_QUEUE_FIELDS = frozenset(Queue.__struct_fields__) - {"name", "exchange", "arguments"}
_READ = (
    "task_queues",
    "task_default_queue",
    "task_default_queue_type",
    "task_default_exchange",
    "task_default_exchange_type",
    "task_default_routing_key",
    "task_queue_max_priority",
    "task_create_missing_queues",
    "task_create_missing_queue_type",
    "task_create_missing_queue_exchange_type",
)
_ARGUMENTS = {"max_length": "x-max-length", "max_length_bytes": "x-max-length-bytes"}


class Queues(dict[str, Queue]):
    """Queues by name. Filled from the settings, grows as calls name new ones.

    Attributes:
        aliases: Other names of queues.
        selected: The names a worker takes from, replaced as a whole; None for all.
    """

    def __init__(self, settings: Settings) -> None:
        """Read `task_queues` and the defaults for those not declared.

        Raises:
            ConfigError: `task_queues` is not a list or mapping of queues, or names one twice.
        """
        super().__init__()
        self._settings = settings
        self.selected: set[str] | None = None
        self.aliases: dict[str, str] = {}
        for queue in _declared(settings.task_queues):
            completed = self._completed(queue)
            if self.get(queue.name, completed) != completed:
                raise ConfigError(f"task_queues: {queue.name!r} is declared twice, differently")
            self[queue.name] = completed
        if not self:
            self[settings.task_default_queue] = self.default_queue()

    def fits(self, settings: Settings) -> bool:
        """Tell whether these settings describe the same queues, so that a selection stays valid."""
        return all(getattr(settings, name) == getattr(self._settings, name) for name in _READ)

    def default_queue(self) -> Queue:
        """Return the queue that takes what nothing else routes."""
        settings = self._settings
        name = settings.task_default_queue
        if name in self:
            return self[name]
        exchange = Exchange(
            name=settings.task_default_exchange or name, type=settings.task_default_exchange_type
        )
        queue = Queue(
            name=name, exchange=exchange, routing_key=settings.task_default_routing_key or name
        )
        return self._completed(queue, settings.task_default_queue_type)

    def _completed(self, queue: Queue, queue_type: str = "classic") -> Queue:
        """Fill in exchange, routing key, type and priority that a declaration left out."""
        changes: dict[str, Any] = {}
        if queue.exchange is None or not queue.exchange.name:
            kind = queue.exchange.type if queue.exchange else "direct"
            changes["exchange"] = Exchange(name=queue.name, type=kind)
        if not queue.routing_key:
            changes["routing_key"] = queue.name
        if queue.max_priority is None and self._settings.task_queue_max_priority is not None:
            changes["max_priority"] = self._settings.task_queue_max_priority
        if queue_type != "classic" and "x-queue-type" not in (queue.arguments or {}):
            changes["arguments"] = {**(queue.arguments or {}), "x-queue-type": queue_type}
        return msgspec.structs.replace(queue, **changes) if changes else queue

    def __missing__(self, name: str) -> Queue:
        """Create a queue that was only named, where the settings allow it.

        Raises:
            QueueNotFound: `task_create_missing_queues` is off.
        """
        if not isinstance(name, str) or not name:
            raise ConfigError(f"a queue's name must be text, not {name!r}")
        if not self._settings.task_create_missing_queues:
            known = ", ".join(sorted(self))
            raise QueueNotFound(
                f"queue {name!r} is not declared in task_queues (declared: {known})", queue=name
            )
        if name == self._settings.task_default_queue:
            self[name] = self.default_queue()
        else:
            self[name] = self.new_missing(name)
        return self[name]

    def new_missing(self, name: str) -> Queue:
        """Return the queue that a bare name stands for."""
        settings = self._settings
        kind = settings.task_create_missing_queue_exchange_type or "direct"
        queue = Queue(name=name, exchange=Exchange(name=name, type=kind), routing_key=name)
        return self._completed(queue, settings.task_create_missing_queue_type)

    def add(self, queue: Any, **options: Any) -> Queue:
        """Add a queue, by name with options or as an object; returns it completed."""
        if isinstance(queue, str):
            queue = as_queue(queue, options)
        added = self._completed(as_queue(getattr(queue, "name", ""), queue))
        self[added.name] = added
        return added

    @property
    def consume_from(self) -> dict[str, Queue]:
        """The queues a worker takes from: those selected, or all declared."""
        if self.selected is None:
            return dict(self)
        return {name: self[name] for name in self if name in self.selected}

    def select(self, include: str | Iterable[str]) -> None:
        """Consume these only; unknown names are created where the settings allow it.

        Raises:
            QueueNotFound: A name is unknown and must not be created.
        """
        names = _names(include)
        for name in names:
            self[name]
        self.selected = set(names)

    def deselect(self, exclude: str | Iterable[str]) -> None:
        """Do not consume these."""
        names = set(_names(exclude))
        base = set(self) if self.selected is None else self.selected
        self.selected = base - names

    def select_add(self, queue: Any, **options: Any) -> Queue:
        """Add a queue and consume it as well."""
        added = self.add(queue, **options)
        if self.selected is not None:
            self.selected = self.selected | {added.name}
        return added


def _names(given: str | Iterable[str]) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else list(given)
    return [part.strip() for part in parts if part.strip()]


def _declared(given: Any) -> list[Queue]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [as_queue(name, options) for name, options in given.items()]
    if isinstance(given, list | tuple | set | frozenset):
        return [as_queue(getattr(item, "name", item), item) for item in given]
    raise ConfigError(f"task_queues must be a list or a mapping of queues, not {given!r}")


def as_queue(name: Any, given: Any) -> Queue:
    """Turn what a user wrote into a queue.

    Args:
        name: Its name.
        given: A `Queue`, a kombu queue, a mapping of options, a name, or None.

    Raises:
        ConfigError: It is none of these, or an option is unknown.
    """
    if isinstance(given, Queue):
        return given
    if not isinstance(name, str) or not name:
        raise ConfigError(f"a queue's name must be text, not {name!r}")
    if given is None or isinstance(given, str):
        return Queue(name=name)
    options = dict(given) if isinstance(given, Mapping) else _from_object(given)
    exchange = as_exchange(options.pop("exchange", None), options.pop("exchange_type", None))
    arguments = {**(options.pop("queue_arguments", None) or {})}
    arguments.update(options.pop("arguments", None) or {})
    for option, argument in _ARGUMENTS.items():
        if options.get(option) is not None:
            arguments[argument] = options[option]
        options.pop(option, None)
    key = options.pop("binding_key", None) or options.pop("routing_key", None) or ""
    unknown = set(options) - _QUEUE_FIELDS
    if unknown:
        raise ConfigError(f"queue {name!r}: unknown option {sorted(unknown)[0]!r}")
    return Queue(
        name=name, exchange=exchange, routing_key=key, arguments=arguments or None, **options
    )


def _from_object(given: Any) -> dict[str, Any]:
    """Read a kombu queue's attributes, without importing kombu to know its class."""
    if not hasattr(given, "routing_key"):
        raise ConfigError(f"not a queue: {given!r}")
    names = (*_QUEUE_FIELDS, "exchange", "queue_arguments", *_ARGUMENTS)
    found = {name: getattr(given, name) for name in names if hasattr(given, name)}
    return {name: value for name, value in found.items() if value is not None}


def as_exchange(given: Any, kind: str | None = None) -> Exchange | None:
    """Turn a name, an `Exchange` or a kombu exchange into an exchange; None stays None.

    Args:
        given: What the user wrote.
        kind: `direct`, `topic` or `fanout` for a bare name.
    """
    if given is None and kind is None:
        return None
    if isinstance(given, Exchange):
        return given
    if given is None or isinstance(given, str):
        return Exchange(name=given or "", type=kind or "direct")
    return Exchange(
        name=getattr(given, "name", "") or "",
        type=kind or getattr(given, "type", None) or "direct",
        durable=bool(getattr(given, "durable", True)),
        auto_delete=bool(getattr(given, "auto_delete", False)),
        arguments=getattr(given, "arguments", None) or None,
    )
