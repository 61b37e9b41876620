"""Sends commands and collects the answers in a thread, so that the screen never waits."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tq.control import Call, Control
from tq.errors import TQError
from tqconsole.tui.model.sent import Answer, SentCommand, reply_text

__all__ = ["Commander"]

_LISTEN_AFTER = 30.0  # seconds after the deadline for which late answers are taken in
_POLL = 0.03
_IDLE = 0.5
_PART = 500  # ids in one message
_PART_PAUSE = 0.05  # seconds between two messages of one command


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
        self._open: list[_Sending] = []
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
        parts = _parts(sent.arguments)
        sending = _Sending(sent, parts[1:])
        if self._send(sending, parts[0]):
            self._open.append(sending)

    def _send(self, sending: "_Sending", arguments: Mapping[str, Any]) -> bool:
        """Send one part of a command; returns whether it could be."""
        sent = sending.sent
        try:
            call = self._control.start(
                sent.method,
                arguments,
                destination=None if sent.destination is None else list(sent.destination),
                timeout=sent.timeout,
                expect=sent.expected or (),
            )
        except (TQError, ValueError) as error:
            self._news.append((sent, str(error)))
            return False
        sending.calls.append(call)
        return True

    def _collect(self) -> None:
        still: list[_Sending] = []
        for sending in self._open:
            sent = sending.sent
            try:
                for answer in sending.answers():
                    self._news.append((sent, answer))
            except TQError as error:
                self._news.append((sent, f"sent, but the connection was lost: {error}"))
                continue
            now = time.monotonic()
            if sent.stopping:
                sending.rest.clear()
            if sending.rest:
                if now >= sending.due:
                    sending.due = now + _PART_PAUSE
                    if not self._send(sending, sending.rest.pop(0)):
                        continue
                still.append(sending)  # what was sent just now is to be answered first
            elif sending.is_over(now):
                self._news.append((sent, None))
            else:
                still.append(sending)
        self._open = still


class _Sending:
    """A command under way, in one part or several; a worker has answered when it did to all."""

    def __init__(self, sent: SentCommand, rest: list[Mapping[str, Any]]) -> None:
        self.sent = sent
        self.rest = rest
        self.due = time.monotonic() + _PART_PAUSE
        self.calls: list[Call] = []
        self._replies: dict[str, list[Answer]] = {}
        self._told: set[str] = set()

    def answers(self) -> Iterator[Answer]:
        """Return the workers that have answered by now, each once.

        Raises:
            BrokerConnectionError: The connection is lost.
        """
        for call in self.calls:
            for reply in call.poll():
                good, text = reply_text(reply.value)
                answer = Answer(
                    reply.node, good, text, reply.elapsed, call.is_late(reply), reply.value
                )
                self._replies.setdefault(reply.node, []).append(answer)
        if self.rest:
            return
        for node, replies in self._replies.items():
            if node not in self._told and len(replies) >= len(self.calls):
                self._told.add(node)
                yield _joined(replies)

    def is_over(self, now: float) -> bool:
        """Tell whether nobody is waited for any more; `now` is monotonic."""
        late = now > max(call.deadline for call in self.calls) + _LISTEN_AFTER
        answered = len(self._told) == len(self._replies)
        return late or (answered and all(call.complete for call in self.calls))


def _joined(replies: Sequence[Answer]) -> Answer:
    """Return one answer for all parts: the first bad one, if any is."""
    worst = next((answer for answer in replies if not answer.ok), replies[0])
    if len(replies) == 1 or not worst.ok:
        return worst
    after = max(answer.after for answer in replies)
    return replace(worst, text=f"ok: {len(replies)} parts", after=after)


def _parts(arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Split a command about many tasks: no message names more than 500."""
    ids = arguments.get("task_id")
    if not isinstance(ids, list) or len(ids) <= _PART:
        return [arguments]
    return [{**arguments, "task_id": ids[at : at + _PART]} for at in range(0, len(ids), _PART)]
