"""Coroutines in threads that run none: one event loop per thread, kept from task to task."""

import os
import threading
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

__all__ = ["run_coroutine"]

_local = threading.local()


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in this thread.

    An exception that a signal handler raises while the loop waits (a soft time limit) is raised
    inside the coroutine, where it awaits.
    """
    import asyncio  # 40 ms; most workers never run a coroutine

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _drive(coroutine)
    # An eager call from within a coroutine: its loop cannot run another one, a thread can.
    return _in_thread(coroutine)


def _in_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(context.run(_drive, coroutine))
        except BaseException as exc:  # handed to the caller's thread
            failure.append(exc)

    context = copy_context()
    thread = threading.Thread(target=work, name="tq-coroutine")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _loop() -> Any:
    """Return this thread's loop, made anew after a fork: its selector was the parent's."""
    import asyncio  # as above

    if getattr(_local, "pid", None) != os.getpid() or _local.loop.is_closed():
        _local.loop, _local.pid = asyncio.new_event_loop(), os.getpid()
        _local.guard = _Closer(_local.loop)
    return _local.loop


class _Closer:
    """Closes a thread's loop when the thread ends and its local values are dropped."""

    def __init__(self, loop: Any) -> None:
        self._loop, self._pid = loop, os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid() and not self._loop.is_running():
            self._loop.close()


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop = _loop()
    driver = _Driver(coroutine)
    task = loop.create_task(driver.run())
    try:
        return loop.run_until_complete(task)
    except BaseException as exc:
        if task.done():
            raise
        # Raised by a signal handler outside the coroutine: deliver it where the coroutine waits.
        driver.interrupt = exc
        task.cancel()
        return loop.run_until_complete(task)


class _Driver:
    """Steps a coroutine, so that a cancellation can reach it as another exception."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.interrupt: BaseException | None = None

    def __await__(self) -> Any:
        coroutine = self._coroutine
        try:
            awaited = coroutine.send(None)
            while True:
                try:
                    value = yield awaited
                except BaseException as exc:
                    thrown, self.interrupt = self.interrupt or exc, None
                    awaited = coroutine.throw(thrown)
                else:
                    awaited = coroutine.send(value)
        except StopIteration as stop:
            return stop.value

    async def run(self) -> Any:
        return await self
