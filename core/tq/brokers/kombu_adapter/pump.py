"""The thread that owns a connection: AMQP connections must not be shared between threads."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from tq.brokers.doorbell import Doorbell
from tq.brokers.kombu_adapter.errors import translate_errors
from tq.brokers.kombu_adapter.link import Address, Link
from tq.brokers.kombu_adapter.waiting import wait_readable
from tq.errors import BrokerConnectionError, TQError

__all__ = ["Pump"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_TICK = 1.0
# Transports without a socket of their own are asked in turns of this length.
_EMULATED_TURN = 0.05
_ANSWER_SECONDS = 15.0

_log = logging.getLogger(__name__)


class Pump:
    """Runs one connection in a thread: dispatches deliveries, carries out orders, reconnects.

    `orders` and `close` may be called from any thread; everything given to the constructor is
    called in the pump's own.
    """

    def __init__(
        self,
        address: Address,
        url: str,
        *,
        name: str,
        on_connect: Callable[[Link], None],
        on_lost: Callable[[], None],
        on_tick: Callable[[], float],
        reconnect: bool,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: Where to connect.
            url: The same for errors, password masked.
            name: The thread's name.
            on_connect: Declares and consumes on a new connection.
            on_lost: The connection is gone, with all that was delivered on it.
            on_tick: Called at least once a second; returns seconds until it wants to be called.
            reconnect: Connect again after a loss, or stop.
        """
        self._address, self._url = address, url
        self._on_connect, self._on_lost, self._on_tick = on_connect, on_lost, on_tick
        self._reconnect = reconnect
        self._orders: deque[tuple[Callable[[Link], Any], Future[Any] | None]] = deque()
        self._bell = Doorbell()
        self._stopping = threading.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Connect for the first time.

        Raises:
            BrokerError: That failed; there will be no further attempt.
        """
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.close()
            raise

    def order(self, action: Callable[[Link], Any]) -> None:
        """Have something done on the connection; forgotten if the connection is lost first."""
        self._orders.append((action, None))
        self._bell.ring()

    def ask(self, action: Callable[[Link], Any]) -> Any:
        """Have something done and wait for its answer.

        Raises:
            BrokerConnectionError: The connection is away.
        """
        answer: Future[Any] = Future()
        self._orders.append((action, answer))
        self._bell.ring()
        try:
            return answer.result(timeout=_ANSWER_SECONDS)
        except TimeoutError as exc:
            raise BrokerConnectionError(f"{self._url} does not answer") from exc

    def wake(self) -> None:
        """Make the pump call `on_tick` soon."""
        self._bell.ring()

    def close(self) -> None:
        """Stop the thread and close its connection."""
        self._stopping.set()
        self._bell.ring()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=_ANSWER_SECONDS)
            self._bell.close()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            link = None
            try:
                with translate_errors(self._url):
                    link = self._connect()
                    pause = _FIRST_PAUSE
                    self._serve(link)
            except TQError as exc:
                if not self._started.done():
                    self._started.set_exception(exc)
                    return
                if self._reconnect and not self._stopping.is_set():
                    _log.warning("%s; connecting again", exc)
            except Exception as exc:  # the thread must live, or the worker would wait for ever
                if not self._started.done():
                    self._started.set_exception(exc)
                    return
                _log.exception("connection to %s failed", self._url)
            finally:
                self._drop(link)
            if not self._reconnect:
                return
            if not self._stopping.is_set():
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _connect(self) -> Link:
        link = self._address.connect(heartbeat=self._address.heartbeat)
        try:
            self._on_connect(link)
        except BaseException:
            link.close()
            raise
        if not self._started.done():
            self._started.set_result(None)
        return link

    def _serve(self, link: Link) -> None:
        """Work on one connection until it fails or the pump is closed."""
        while not self._stopping.is_set():
            self._carry_out(link)
            wait = min(self._on_tick(), _TICK)
            link.beat()
            fd = link.fileno()
            if fd is None:
                link.drain(0.001 if self._orders else min(wait, _EMULATED_TURN))
            # Before waiting: TLS may hold bytes that the socket no longer shows.
            elif not link.drain(0):
                wait_readable([fd, self._bell.fileno()], wait)
        # What was ordered before the end, acks above all, is still done.
        self._carry_out(link)

    def _carry_out(self, link: Link) -> None:
        self._bell.clear()
        while self._orders:
            action, answer = self._orders.popleft()
            try:
                with translate_errors(self._url):
                    result = action(link)
            except TQError as exc:
                if answer is None:
                    raise
                answer.set_exception(exc)
                if isinstance(exc, BrokerConnectionError):
                    raise
            else:
                if answer is not None:
                    answer.set_result(result)

    def _drop(self, link: Link | None) -> None:
        """Throw a connection away; what was ordered on it is void."""
        self._on_lost()
        while self._orders:
            _, answer = self._orders.popleft()
            if answer is not None:
                answer.set_exception(BrokerConnectionError(f"{self._url}: the connection is lost"))
        if link is not None:
            link.close()
