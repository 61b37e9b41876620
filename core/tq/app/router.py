"""Where a call goes: its options, `task_routes`, then the default queue.

Source: celery/app/routes.py; celery/app/amqp.py, `send_task_message` (the plain queue's address).
"""

import fnmatch
import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from tq.app.queues import Queues, as_exchange, as_queue
from tq.brokers.base import Queue
from tq.config import Settings
from tq.errors import ConfigError

__all__ = ["Destination", "Router"]

Rule = Callable[[str, Any, Any, Mapping[str, Any], Any], Any]


class Destination(msgspec.Struct, frozen=True):
    """An address to publish to.

    Attributes:
        queue: What to declare first, or None where only an exchange was named.
        extra: Options of the route that are not part of the address (`priority`, ...).
    """

    queue: Queue | None
    exchange: str
    exchange_type: str
    routing_key: str
    delivery_mode: int
    extra: dict[str, Any]


class Router:
    """Finds the destination of calls, for one state of the settings.

    Attributes:
        by_name_only: No route looks at anything but the task's name.
    """

    def __init__(self, settings: Settings, queues: Queues) -> None:
        """Compile `task_routes`.

        Raises:
            ConfigError: A route is no name, pattern, mapping, function or list of these.
        """
        self.settings = settings
        self.queues = queues
        self._rules, self.by_name_only = _compile(settings.task_routes)
        # Grows with the tasks and queues of the program, not with the calls.
        self._known: dict[tuple[str, str | None], Destination] = {}

    def route(
        self,
        options: Mapping[str, Any],
        name: str,
        args: Any = (),
        kwargs: Any = None,
        task_type: Any = None,
    ) -> Destination:
        """Return where a call goes.

        Args:
            options: Of the call; `queue`, `exchange` and `routing_key` in them win over routes.
            name: The task's name.
            args: For router functions.
            kwargs: For router functions.
            task_type: The task itself, where it is known here.

        Raises:
            QueueNotFound: The queue is not declared and must not be created.
            ConfigError: A route is malformed, or a router function raised.
        """
        queue = options.get("queue")
        if self._is_plain(queue, options):
            key = (name if queue is None else "", queue)
            known = self._known.get(key)
            if known is None:
                # What is remembered serves later calls, so it must not hold this call's options.
                chosen = {} if queue is None else {"queue": queue}
                known = self._known[key] = self._find(chosen, name, args, kwargs, task_type)
            return known
        return self._find(options, name, args, kwargs, task_type)

    def _is_plain(self, queue: Any, options: Mapping[str, Any]) -> bool:
        """Tell whether the destination follows from the name or the queue alone."""
        if "exchange" in options or "routing_key" in options or "delivery_mode" in options:
            return False
        return type(queue) is str if queue is not None else self.by_name_only

    def _find(
        self, options: Mapping[str, Any], name: str, args: Any, kwargs: Any, task_type: Any
    ) -> Destination:
        merged: dict[str, Any] = {}
        if not any(options.get(part) for part in ("queue", "exchange", "routing_key")):
            merged = self._from_rules(options, name, args, kwargs, task_type)
        merged.update((key, value) for key, value in options.items() if value is not None)
        return self._address(merged)

    def _from_rules(
        self, options: Mapping[str, Any], name: str, args: Any, kwargs: Any, task_type: Any
    ) -> dict[str, Any]:
        for rule in self._rules:
            try:
                found = rule(name, args, kwargs, options, task_type)
            except Exception as exc:  # a user's function
                raise ConfigError(f"task_routes: router for {name!r} raised {exc!r}") from exc
            if found:
                return _as_route(found)
        return {}

    def _address(self, options: dict[str, Any]) -> Destination:
        given = options.pop("queue", None)
        exchange, key = options.pop("exchange", None), options.pop("routing_key", None)
        kind = options.pop("exchange_type", None)
        mode = options.pop("delivery_mode", None)
        extra = {name: options[name] for name in ("priority",) if name in options}
        if mode is None:
            mode = self.settings.task_default_delivery_mode
        if given is None and exchange is not None:
            named = as_exchange(exchange, kind)
            assert named is not None
            return Destination(None, named.name, named.type, key or "", _mode(mode), extra)
        queue = self._queue(given)
        bound = queue.exchange
        assert bound is not None, "Queues completes every queue"
        kind = kind or bound.type
        if kind == "direct" and not (exchange and key):
            # Celery addresses a plain queue through the default exchange.
            return Destination(queue, "", "direct", queue.name, _mode(mode), extra)
        named = (as_exchange(exchange, kind) if exchange else None) or bound
        return Destination(queue, named.name, kind, key or queue.routing_key, _mode(mode), extra)

    def _queue(self, given: Any) -> Queue:
        if given is None:
            return self.queues[self.settings.task_default_queue]
        if isinstance(given, str):
            return self.queues[given]
        queue = as_queue(getattr(given, "name", None), given)
        return self.queues.get(queue.name) or self.queues.add(queue)


def _mode(given: Any) -> int:
    return {"transient": 1, "persistent": 2}.get(given, 0) or int(given)


def _as_route(found: Any) -> dict[str, Any]:
    if isinstance(found, str):
        return {"queue": found}
    if isinstance(found, Mapping):
        return dict(found)
    raise ConfigError(f"task_routes: a route must be a queue name or a mapping, not {found!r}")


def _compile(given: Any) -> tuple[list[Rule], bool]:
    """Turn `task_routes` into rules; also tell whether they look at nothing but names."""
    if given is None:
        return [], True
    parts = given if isinstance(given, list | tuple) and not _is_pair(given) else [given]
    rules: list[Rule] = []
    by_name_only = True
    for part in parts:
        if isinstance(part, str):
            part = _import(part)
        if isinstance(part, Mapping):
            rules.append(_name_rule(part.items()))
        elif _is_pair(part):
            rules.append(_name_rule([part]))
        elif isinstance(part, list | tuple):
            rules.append(_name_rule(part))
        elif callable(part):
            rules.append(part)
            by_name_only = False
        elif hasattr(part, "route_for_task"):
            rules.append(_object_rule(part))
            by_name_only = False
        else:
            raise ConfigError(f"task_routes: not a route: {part!r}")
    return rules, by_name_only


def _is_pair(part: Any) -> bool:
    """Tell whether `part` is one (pattern, route), not a list of routers."""
    return (
        isinstance(part, tuple)
        and len(part) == 2
        and isinstance(part[0], str | re.Pattern)
        and isinstance(part[1], str | Mapping)
    )


def _import(path: str) -> Any:
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigError(f"task_routes: router {path!r} does not import: {exc}") from exc
    return found() if isinstance(found, type) else found


def _object_rule(router: Any) -> Rule:
    def rule(name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any) -> Any:
        return router.route_for_task(name, args, kwargs)

    return rule


def _name_rule(pairs: Any) -> Rule:
    """Match exact names first, then globs and regular expressions in their order."""
    exact: dict[str, Any] = {}
    patterns: list[tuple[re.Pattern[str], Any]] = []
    for entry in pairs:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise ConfigError(f"task_routes: expected (pattern, route), not {entry!r}")
        pattern, route = entry
        if isinstance(pattern, re.Pattern):
            patterns.append((pattern, route))
        elif isinstance(pattern, str) and any(mark in pattern for mark in "*?["):
            patterns.append((re.compile(fnmatch.translate(pattern)), route))
        elif isinstance(pattern, str):
            exact[pattern] = route
        else:
            raise ConfigError(f"task_routes: not a name or pattern: {pattern!r}")

    def rule(name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any) -> Any:
        if name in exact:
            return exact[name]
        return next((route for pattern, route in patterns if pattern.match(name)), None)

    return cast(Rule, rule)
