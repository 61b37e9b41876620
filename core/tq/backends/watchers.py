"""Who waits for which record."""

import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any

from tq.errors import ResultTimeout
from tq.states import READY_STATES
from tq.wire.result import ResultMeta

__all__ = ["OnError", "OnResult", "Watchers", "wait_with"]

OnResult = Callable[[ResultMeta], None]
OnError = Callable[[BaseException], None]
Watch = Callable[[Iterable[str], OnResult, OnError | None], Callable[[], None]]

INTERVAL = 0.5  # seconds between two calls of `on_interval`, Celery's default


class Watcher:
    """One caller's interest in some ids; compared by identity."""

    __slots__ = ("ids", "on_error", "on_result")

    def __init__(self, ids: set[str], on_result: OnResult, on_error: OnError | None) -> None:
        """Hold the ids that have no final record yet."""
        self.ids = ids
        self.on_result = on_result
        self.on_error = on_error


class Watchers:
    """The watchers of a process by id; safe to share between threads.

    Callbacks run outside the lock: a waiter may start the next wait from within one.
    """

    def __init__(self) -> None:
        """Start without watchers."""
        self._lock = threading.Lock()
        self._by_id: dict[str, list[Watcher]] = {}

    def __len__(self) -> int:
        """Count the ids that are waited for."""
        return len(self._by_id)

    def __contains__(self, task_id: str) -> bool:
        """Tell whether anybody waits for an id."""
        return task_id in self._by_id

    def ids(self) -> list[str]:
        """Return the ids that are waited for."""
        with self._lock:
            return list(self._by_id)

    def add(self, ids: Iterable[str], on_result: OnResult, on_error: OnError | None) -> Watcher:
        """Begin to wait."""
        watcher = Watcher(set(ids), on_result, on_error)
        with self._lock:
            for task_id in watcher.ids:
                self._by_id.setdefault(task_id, []).append(watcher)
        return watcher

    def remove(self, watcher: Watcher) -> list[str]:
        """Stop waiting; returns the ids nobody waits for any more."""
        with self._lock:
            return [task_id for task_id in list(watcher.ids) if self._drop(task_id, watcher)]

    def _drop(self, task_id: str, watcher: Watcher) -> bool:
        """Take a watcher off an id, under the lock; True when it was the last."""
        watcher.ids.discard(task_id)
        found = self._by_id.get(task_id)
        if found is None or watcher not in found:
            return False
        found.remove(watcher)
        if found:
            return False
        del self._by_id[task_id]
        return True

    def deliver(self, result: ResultMeta) -> bool:
        """Hand a record to those who wait; True when it was final and its id is done."""
        final = result.status in READY_STATES
        with self._lock:
            watchers = list(self._by_id.get(result.task_id, ()))
            if final and watchers:
                del self._by_id[result.task_id]
                for watcher in watchers:
                    watcher.ids.discard(result.task_id)
        for watcher in watchers:
            watcher.on_result(result)
        return final and bool(watchers)

    def fail(self, error: BaseException, task_id: str | None = None) -> None:
        """Give up on one id, or on all, and say why to those who wait."""
        with self._lock:
            if task_id is None:
                watchers = list({id(w): w for ws in self._by_id.values() for w in ws}.values())
            else:
                watchers = list(self._by_id.get(task_id, ()))
            for watcher in watchers:
                for pending in list(watcher.ids):
                    self._drop(pending, watcher)
        for watcher in watchers:
            if watcher.on_error is not None:
                watcher.on_error(error)


def wait_with(
    watch: Watch,
    ids: Iterable[str],
    on_result: OnResult,
    *,
    timeout: float | None,
    until: Callable[[], bool],
    on_interval: Callable[[], None] | None,
) -> None:
    """Wait in the caller's thread for what a watch delivers; see `Backend.wait`."""
    arrived: SimpleQueue[ResultMeta | BaseException] = SimpleQueue()
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = list(ids)
    cancel = watch(wanted, arrived.put, arrived.put)
    try:
        while not until():
            item = _next(arrived, deadline, on_interval)
            if item is None:
                if deadline is not None and time.monotonic() >= deadline:
                    raise ResultTimeout(_timed_out(wanted, timeout))
            elif isinstance(item, BaseException):
                raise item
            else:
                on_result(item)
    finally:
        cancel()


def _next(
    arrived: "SimpleQueue[Any]", deadline: float | None, on_interval: Callable[[], None] | None
) -> Any:
    """Take what arrives next, or None after an interval or the deadline."""
    pause = None if deadline is None else max(0.0, deadline - time.monotonic())
    if on_interval is not None:
        pause = INTERVAL if pause is None else min(pause, INTERVAL)
    try:
        return arrived.get(timeout=pause)
    except Empty:
        if on_interval is not None:
            on_interval()
        return None


def _timed_out(ids: list[str], timeout: float | None) -> str:
    if len(ids) == 1:
        return f"no result of task {ids[0]} within {timeout} s"
    return f"not all of {len(ids)} results within {timeout} s (first: {ids[0]})"
