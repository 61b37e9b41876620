"""Sends commands and collects the answers in a thread, so that the screen never waits."""

import queue
import threading
import time
from collections import deque

from tq.control import Call, Control
from tq.errors import TQError
from tqconsole.tui.model.sent import Answer, SentCommand, reply_text

__all__ = ["Commander"]

_LISTEN_AFTER = 30.0  # seconds after the deadline for which late answers are taken in
_POLL = 0.03
_IDLE = 0.5


class Commander:
    """One thread that talks to the workers.

    `send` and `drain` belong to the event loop, everything else to the thread; both hand over
    through queues.
    """

    def __init__(self, control: Control) -> None:
        """Send through `control`."""
        self._control = control
        self._todo: queue.SimpleQueue[SentCommand | None] = queue.SimpleQueue()
        self._news: deque[tuple[SentCommand, Answer | str | None]] = deque()
        self._open: list[tuple[SentCommand, Call]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console commands", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """End; what was not sent yet is not sent. `deadline` is monotonic."""
        self._stopping.set()
        self._todo.put(None)
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def send(self, sent: SentCommand) -> None:
        """Have a command sent."""
        self._todo.put(sent)

    def drain(self) -> None:
        """Write what has arrived into the commands it belongs to."""
        while self._news:
            sent, news = self._news.popleft()
            if isinstance(news, Answer):
                sent.answers.append(news)
            elif isinstance(news, str):
                sent.error = news
                sent.listening = False
            else:
                sent.listening = False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                todo = self._todo.get(timeout=_POLL if self._open else _IDLE)
            except queue.Empty:
                todo = None
            if todo is not None:
                self._begin(todo)
            self._collect()

    def _begin(self, sent: SentCommand) -> None:
        try:
            call = self._control.start(
                sent.method,
                sent.arguments,
                destination=None if sent.destination is None else list(sent.destination),
                timeout=sent.timeout,
                expect=sent.expected or (),
            )
        except (TQError, ValueError) as error:
            self._news.append((sent, str(error)))
        else:
            self._open.append((sent, call))

    def _collect(self) -> None:
        now = time.monotonic()
        still: list[tuple[SentCommand, Call]] = []
        for sent, call in self._open:
            try:
                replies = call.poll()
            except TQError as error:
                self._news.append((sent, f"sent, but the connection was lost: {error}"))
                continue
            for reply in replies:
                good, text = reply_text(reply.value)
                answer = Answer(
                    reply.node, good, text, reply.elapsed, call.is_late(reply), reply.value
                )
                self._news.append((sent, answer))
            if call.complete or now > call.deadline + _LISTEN_AFTER:
                self._news.append((sent, None))
            else:
                still.append((sent, call))
        self._open = still
