"""A real worker inside the test's process.

Source: celery/contrib/testing/worker.py, `start_worker`.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tq import signals
from tq.app import TQ
from tq.errors import ConfigError
from tq.pools.make import pool_name
from tq.wire.ids import new_id
from tq.worker import Worker

__all__ = ["RunningWorker", "start_worker"]

_LOOK_SECONDS = 0.01
_CUT_SECONDS = 5.0  # for a worker to stop once its tasks are given up


class RunningWorker:
    """A worker that runs in a thread of this process. Any thread may use it.

    Attributes:
        worker: The `tq.worker.Worker` itself, owned by its own thread.
        app: Its application.
        hostname: Its node name, for `destination=` of remote control.
    """

    def __init__(self, worker: Worker) -> None:
        """Keep a worker that is not started yet."""
        self.worker = worker
        self.app: TQ = worker.app
        self.hostname = worker.hostname
        self._thread = threading.Thread(target=self._run, name=f"tq-{worker.hostname}", daemon=True)
        self._news = threading.Event()  # it is ready, or it has ended
        self._failure: BaseException | None = None

    def join(self, timeout: float = 10.0) -> None:
        """Wait until the worker's queues are empty and nothing runs: all that was sent is done.

        Tasks that tasks send are waited for too; those with an ETA or countdown are not, until they
        are due.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: There is still work; names it.
            RuntimeError: The worker has ended.
        """
        idle = threading.Event()

        def look() -> None:
            # In the loop's thread, so that no delivery is between the queue and the dispatcher.
            if self._left() == 0:
                idle.set()
            elif not self._expired(deadline):
                self.worker.loop.call_later(_LOOK_SECONDS, look)

        deadline = time.monotonic() + timeout
        self.worker.loop.call_threadsafe(look)
        while not idle.wait(_LOOK_SECONDS):
            if not self._thread.is_alive():
                raise RuntimeError(f"{self.hostname} has ended") from self._failure
            if self._expired(deadline):
                raise TimeoutError(
                    f"{self.hostname} is still busy after {timeout} s: {self._running()}"
                )

    def start(self, timeout: float) -> None:
        """Start it and wait until it takes tasks; `stop` it also when this fails.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: It is not ready in time.
            Exception: Whatever kept it from starting.
        """

        def ready(**_: Any) -> None:
            self._news.set()

        signals.worker_ready.connect(ready, sender=self.worker, weak=False)
        try:
            self._thread.start()
            in_time = self._news.wait(timeout)
        finally:
            signals.worker_ready.disconnect(ready, sender=self.worker)
        if self._failure is not None:
            raise self._failure
        if not in_time:
            raise TimeoutError(f"{self.hostname} was not ready within {timeout} s")

    def stop(self, timeout: float = 10.0) -> None:
        """Stop it: running tasks may end, the others go back to their queue. Twice is fine.

        Args:
            timeout: Seconds for the running tasks.

        Raises:
            TimeoutError: A task still ran, and was given up.
        """
        self.worker.stop("warm")
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return
        running = self._running()
        self.worker.stop("cold")
        self._thread.join(_CUT_SECONDS)
        raise TimeoutError(f"{self.hostname} did not stop within {timeout} s: {running}")

    def _run(self) -> None:
        try:
            self.worker.start()
        except BaseException as exc:  # raised by `start`, in the test's own thread
            self._failure = exc
        finally:
            self._news.set()

    def _left(self) -> int:
        """Count what is taken, what waits to be settled, and what waits in the queues."""
        worker = self.worker
        taken = len(worker.dispatcher.requests) + worker.settler.pending
        return taken or sum(self.app.broker.depths(list(worker.fetcher.queues)).values())

    def _running(self) -> str:
        names = [request.name for request in self.worker.dispatcher.active()]
        return f"{', '.join(names)} running" if names else "nothing runs, but tasks wait"

    @staticmethod
    def _expired(deadline: float) -> bool:
        return time.monotonic() > deadline


@contextmanager
def start_worker(
    app: TQ,
    *,
    pool: str = "threads",
    concurrency: int = 1,
    start_timeout: float = 10.0,
    stop_timeout: float = 10.0,
    **options: Any,
) -> Iterator[RunningWorker]:
    """Run a real worker in this process for a block.

    Args:
        app: The application; the worker consumes from its broker, whatever that is.
        pool: `threads`, `solo` or `asyncio`. `prefork` forks the test's process and needs a broker
            that is a server.
        concurrency: Tasks at once.
        start_timeout: Seconds until it must be ready.
        stop_timeout: Seconds that running tasks have at the end.
        **options: Of `tq.worker.Worker`: `queues`, `hostname`, `loglevel`, `time_limit`, ...
            Without `loglevel`, logging stays as it is. Heartbeat, gossip and mingle are off unless
            `without_heartbeat=False` and so on.

    Yields:
        The running worker; its `join` waits until all that was sent is done.

    Raises:
        ConfigError: An option makes no sense.
        BrokerConnectionError: The broker does not answer.
        TimeoutError: It was not ready, or did not stop, in time.
    """
    quiet = {"without_heartbeat": True, "without_gossip": True, "without_mingle": True}
    named = {"hostname": f"test-{new_id()[:8]}@%h", **quiet, **options}
    app.read_broker.ping(start_timeout)  # a worker would wait for a broker that is away
    if pool_name(pool) == "prefork" and app.read_broker.driver == "memory":
        raise ConfigError("the processes of pool prefork cannot reach a broker in memory")
    queues, selected = app.queues, app.queues.selected
    worker = Worker(app, pool=pool, concurrency=concurrency, **named)
    # It ends a process whose worker is stuck; here that process is the test run.
    worker.services = [service for service in worker.services if service.name != "watchdog"]
    running = RunningWorker(worker)
    try:
        running.start(start_timeout)
        yield running
    finally:
        queues.selected = selected  # the next worker chooses for itself
        running.stop(stop_timeout)
