"""The inspect commands as calls.

Source: API, `Inspect`; PROTOCOL 8.4; celery/app/control.py, `Inspect` (names, arguments, results).
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tq.brokers.base import Broker
from tq.control.matching import matches
from tq.errors import ConfigError

__all__ = ["Broadcaster", "DuplicateNodenameWarning", "Inspect", "flatten"]


class Broadcaster(Protocol):
    """What `Inspect` asks through: `Control` is one."""

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | None = None,
        connection: Broker | None = None,
        reply: bool = False,
        timeout: float = 1.0,
        limit: int | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        *,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> list[dict[str, Any]] | None:
        """Send a command to all workers, or some; with `reply` return what they answered."""
        ...


class DuplicateNodenameWarning(UserWarning):
    """Two workers answered under one name."""


def flatten(replies: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join `[{node: reply}, ...]` into one dictionary, with a warning when a name came twice."""
    nodes: dict[str, Any] = {}
    twice: set[str] = set()
    for reply in replies:
        twice.update(reply.keys() & nodes.keys())
        nodes.update(reply)
    if twice:
        warnings.warn(
            f"more than one worker is named {', '.join(sorted(twice))}; give each its own with -n",
            DuplicateNodenameWarning,
            stacklevel=3,
        )
    return nodes


class Inspect:
    """Asks workers what they know.

    Every method returns `{node: reply}`, or None when nobody answered; with one node's name as
    `destination` that node's reply alone.
    """

    def __init__(
        self,
        destination: str | Sequence[str] | None = None,
        timeout: float = 1.0,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        connection: Broker | None = None,
        app: Any = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
        *,
        control: Broadcaster | None = None,
    ) -> None:
        """Prepare; each method sends one command.

        Args:
            destination: Node names to ask; one name alone changes what is returned.
            timeout: Seconds to wait, at most.
            callback: Called with each `{node: reply}` as it arrives.
            connection: Another broker to ask through.
            app: The application whose `control` is used, unless `control` is given.
            limit: Wait for so many replies only.
            pattern: Which nodes, with `matcher`, when there is no destination.
            matcher: `glob` or `pcre`.
            control: What sends the commands.
        """
        if control is None and app is None:
            raise ConfigError("inspect needs an application or a control")
        self.app = app
        self.destination = destination
        self.timeout = timeout
        self.callback = callback
        self.connection = connection
        self.limit = limit
        self.pattern = pattern
        self.matcher = matcher
        self._control: Broadcaster = control if control is not None else app.control

    def request(self, command: str, **arguments: Any) -> Any:
        """Send one command and return its replies; for commands of your own."""
        destination = self.destination
        names = [destination] if isinstance(destination, str) else destination
        replies = self._control.broadcast(
            command,
            arguments,
            names,
            self.connection,
            reply=True,
            timeout=self.timeout,
            limit=self.limit,
            callback=self.callback,
            pattern=self.pattern,
            matcher=self.matcher,
        )
        return self._prepare(replies)

    def _prepare(self, replies: list[dict[str, Any]] | None) -> Any:
        """Shape replies as Celery does."""
        if not replies:
            return None
        nodes = flatten(replies)
        if isinstance(self.destination, str):
            return nodes.get(self.destination)
        if self.pattern and self.matcher:
            return {
                node: reply
                for node, reply in nodes.items()
                if matches(node, self.pattern, self.matcher)
            }
        return nodes

    def active(self, safe: bool | None = None) -> Any:
        """List the tasks that run; with `safe` their arguments as text."""
        return self.request("active", **({} if safe is None else {"safe": safe}))

    def scheduled(self, safe: bool | None = None) -> Any:
        """List the tasks held until their time; `safe` is accepted and has no effect."""
        return self.request("scheduled")

    def reserved(self, safe: bool | None = None) -> Any:
        """List the tasks fetched and not started; `safe` is accepted and has no effect."""
        return self.request("reserved")

    def revoked(self) -> Any:
        """List the ids of revoked tasks."""
        return self.request("revoked")

    def registered(self, *taskinfoitems: str) -> Any:
        """List the registered tasks, with the named attributes of each."""
        return self.request(
            "registered", **({"taskinfoitems": list(taskinfoitems)} if taskinfoitems else {})
        )

    registered_tasks = registered

    def query_task(self, *ids: str | Sequence[str]) -> Any:
        """Find tasks by id: `{node: {id: [state, info]}}`; ids as arguments or as one list."""
        if len(ids) == 1 and not isinstance(ids[0], str):
            return self.request("query_task", ids=list(ids[0]))
        return self.request("query_task", ids=list(ids))

    def stats(self) -> Any:
        """Return each worker's statistics."""
        return self.request("stats")

    def active_queues(self) -> Any:
        """List the queues that each worker takes from."""
        return self.request("active_queues")

    def ping(self, destination: str | Sequence[str] | None = None) -> Any:
        """Ask workers whether they live; `destination` replaces the one given at the start."""
        if destination is not None:
            self.destination = destination
        return self.request("ping")

    def clock(self) -> Any:
        """Return each worker's logical clock."""
        return self.request("clock")

    def conf(self, with_defaults: bool = False) -> Any:
        """Return each worker's settings, secrets masked."""
        return self.request("conf", with_defaults=with_defaults)

    def report(self) -> Any:
        """Return a text about each worker's environment."""
        return self.request("report")

    def hello(self, from_node: str, revoked: Sequence[str] | None = None) -> Any:
        """Greet as a starting worker does; returns clocks and revoked ids."""
        return self.request("hello", from_node=from_node, revoked=revoked)

    def memsample(self) -> Any:
        """Take a sample of each worker's memory use."""
        return self.request("memsample")

    def memdump(self, samples: int = 10) -> Any:
        """Return the samples of memory use taken so far."""
        return self.request("memdump", samples=samples)

    def objgraph(self, type: str = "Request", n: int = 200, max_depth: int = 10) -> Any:  # noqa: A002 - as in Celery
        """Draw the objects of a type; returns the file's path on the worker."""
        return self.request("objgraph", num=n, max_depth=max_depth, type=type)
