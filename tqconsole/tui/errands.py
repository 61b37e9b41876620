"""What takes time at broker and result backend, done in a thread so that the screen never waits."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq.control import Control
from tq.errors import TQError
from tq.monitor import QueueSight, TaskInfo, WaitingTask, find_waiting, peek, survey
from tqconsole.tui.model.facts import TimeLimit
from tqconsole.tui.model.resending import (
    RESEND_HEADER,
    Resend,
    Verdict,
    from_event,
    from_record,
    from_request,
    from_waiting,
)
from tqconsole.tui.model.sent import Answer, SentCommand
from tqconsole.tui.model.stages import read_limits

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["Errands"]

_log = logging.getLogger(__name__)

_SURVEY_EVERY = 2.0
_LIMITS_EVERY = 60.0
_ASK_WITHIN = 1.0  # seconds in which workers may say what they hold
_CHUNK = 100  # tasks sent again between two looks at whether to stop
_EACH = 20  # tasks up to which each gets a row in the reply panel

Done = Callable[[], None]


class Errands:
    """One thread for errands, and one that looks at queues every two seconds.

    Everything public belongs to the event loop; results come back through `drain`.

    Attributes:
        names: The queues to look at.
        sights: What was seen of each queue at the last look.
        seen_at: Wall timestamp of that look.
        limits: The time limits that workers registered, by task name.
    """

    def __init__(self, app: "TQ", control: Control) -> None:
        """Go to the broker and the result backend of `app`, and to workers through `control`."""
        self.names: Sequence[str] = ()
        self.sights: Mapping[str, QueueSight] = {}
        self.seen_at = 0.0
        self.limits: Mapping[str, TimeLimit] = {}
        self._app = app
        self._control = control
        self._todo: queue.SimpleQueue[Callable[[], Done] | None] = queue.SimpleQueue()
        self._news: deque[Done] = deque()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._run, "console errands"), (self._look, "console queues"))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, deadline: float) -> None:
        """End; what was not begun is not done. `deadline` is monotonic."""
        self._stopping.set()
        self._todo.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def drain(self) -> None:
        """Hand over what has come back."""
        while self._news:
            self._news.popleft()()

    def _run(self) -> None:
        while (todo := self._todo.get()) is not None and not self._stopping.is_set():
            self._news.append(todo())

    def _look(self) -> None:
        """Look at the queues again and again; what fails is tried again in silence.

        The watcher counts the same queues, and says so when the broker does not answer.
        """
        limits_at = time.monotonic()
        while not self._stopping.is_set():
            names = self.names
            try:
                sights = survey(self._app.broker, names) if names else {}
                self._news.append(self._seen(sights, time.time()))
                # queues are learnt from workers: where there are none, there is nobody to ask
                if names and time.monotonic() >= limits_at:
                    limits_at = time.monotonic() + _LIMITS_EVERY
                    self._news.append(self._limited(self._ask_limits()))
            except TQError as error:
                _log.info("queues cannot be looked at: %s", error)
            self._stopping.wait(_SURVEY_EVERY)

    def _ask_limits(self) -> Mapping[str, TimeLimit]:
        """Ask the workers for the time limits of their tasks."""
        items = {"taskinfoitems": ["time_limit", "soft_time_limit"]}
        registered = self._control.start("registered", items, timeout=_ASK_WITHIN)
        conf = self._control.start("conf", {"with_defaults": False}, timeout=_ASK_WITHIN)
        names = {reply.node: reply.value for reply in registered.wait()}
        settings = {reply.node: reply.value for reply in conf.wait()}
        limits: dict[str, TimeLimit] = {}
        for node in sorted(names):
            limits = read_limits(names[node], settings.get(node), limits)
        return limits

    def _limited(self, limits: Mapping[str, TimeLimit]) -> Done:
        def done() -> None:
            self.limits = limits

        return done

    def _seen(self, sights: Mapping[str, QueueSight], at: float) -> Done:
        def done() -> None:
            self.sights, self.seen_at = sights, at

        return done

    # Errands

    def peek(
        self, name: str, limit: int, done: Callable[[Sequence[WaitingTask] | str], None]
    ) -> None:
        """Read the messages that come next; `done` gets them, or why there are none to show."""

        def todo() -> Done:
            found: Sequence[WaitingTask] | str
            try:
                found = peek(self._app.broker, name, limit)
            except TQError as error:
                found = str(error)
            return lambda: done(found)

        self._todo.put(todo)

    def purge(self, name: str, sent: SentCommand) -> None:
        """Delete the messages that wait in a queue."""

        def todo() -> Done:
            began = time.monotonic()
            try:
                number = self._app.broker.purge(name)
            except TQError as error:
                return _failed(sent, str(error))
            text = f"ok: {number} {'message' if number == 1 else 'messages'} deleted"
            return _answered(sent, [Answer("broker", True, text, time.monotonic() - began)], 1)

        self._todo.put(todo)

    def find_calls(
        self,
        tasks: Sequence[TaskInfo],
        queues: Sequence[str],
        done: Callable[[Sequence[Verdict]], None],
    ) -> None:
        """Find out for each task whether and from where its arguments are known for certain."""

        def todo() -> Done:
            verdicts = self._verdicts(tasks, queues)
            return lambda: done(verdicts)

        self._todo.put(todo)

    def _verdicts(self, tasks: Sequence[TaskInfo], queues: Sequence[str]) -> list[Verdict]:
        found: dict[str, Resend] = {}
        for look in (self._recorded, self._held, lambda rest: self._waiting(rest, queues)):
            rest = [task for task in tasks if task.uuid not in found]
            if rest:
                try:
                    found.update(look(rest))
                except TQError as error:
                    # another source may know
                    _log.info("a source of arguments does not answer: %s", error)
        verdicts: list[Verdict] = []
        for task in tasks:
            call = found.get(task.uuid)
            verdicts.append(from_event(task) if call is None else _with_root(call, task))
        return verdicts

    def _recorded(self, tasks: Sequence[TaskInfo]) -> dict[str, Resend]:
        records = self._app.backend.fetch([task.uuid for task in tasks])
        calls = (from_record(task_id, record.extended) for task_id, record in records.items())
        return {call.task_id: call for call in calls if call is not None}

    def _held(self, tasks: Sequence[TaskInfo]) -> dict[str, Resend]:
        """Ask the workers for what they hold; what is over, nobody holds."""
        ids = [task.uuid for task in tasks if not task.ready]
        if not ids:
            return {}
        call = self._control.start("query_task", {"ids": ids}, timeout=_ASK_WITHIN)
        found: dict[str, Resend] = {}
        for reply in call.wait():
            value: Any = reply.value
            for task_id, held in value.items() if isinstance(value, dict) else ():
                match held:
                    case [_, dict() as request]:
                        resend = from_request(task_id, reply.node, request)
                        if resend is not None:
                            found[task_id] = resend
        return found

    def _waiting(self, tasks: Sequence[TaskInfo], queues: Sequence[str]) -> dict[str, Resend]:
        ids = {task.uuid for task in tasks if not task.ready}
        if not ids:
            return {}
        waiting = find_waiting(self._app.broker, ids, queues)
        calls = map(from_waiting, waiting.values())
        return {call.task_id: call for call in calls if call is not None}

    def resend(self, calls: Sequence[Resend], sent: SentCommand) -> None:
        """Send calls again under new ids; `sent.stopping` ends it between two chunks."""

        def todo() -> Done:
            began = time.monotonic()
            chunk, rest = calls[:_CHUNK], calls[_CHUNK:]
            answers = [self._send(call, began) for call in chunk]
            if rest and not (sent.stopping or self._stopping.is_set()):
                self.resend(rest, sent)
                rest = ()
            return _answered(sent, answers, len(chunk), left=len(rest))

        self._todo.put(todo)

    def _send(self, call: Resend, began: float) -> Answer:
        options = {"queue": call.queue} if call.queue else {}
        node = call.task_id[:8]
        try:
            new = self._app.send_task(
                call.name,
                call.args,
                call.kwargs,
                root_id=call.root_id or call.task_id,
                headers={RESEND_HEADER: call.task_id},
                **options,
            )
        except TQError as error:
            return Answer(node, False, str(error), time.monotonic() - began)
        text = f"ok: sent as {new.id}, arguments from {call.source}"
        return Answer(node, True, text, time.monotonic() - began)


def _with_root(call: Resend, task: TaskInfo) -> Resend:
    """Return a call under the root that the events tell of, where its source does not."""
    if call.root_id is not None or task.root_id is None:
        return call
    return Resend(
        call.task_id, call.name, call.args, call.kwargs, call.queue, task.root_id, call.source
    )


def _failed(sent: SentCommand, error: str) -> Done:
    def done() -> None:
        sent.error, sent.listening = error, False

    return done


def _answered(sent: SentCommand, answers: Sequence[Answer], steps: int, left: int = 0) -> Done:
    """Add to what a command has achieved; of many, only what failed keeps a row of its own."""

    def done() -> None:
        each = sent.total <= _EACH
        sent.answers.extend(answer for answer in answers if each or not answer.ok)
        sent.done += steps
        sent.good += sum(answer.ok for answer in answers)
        sent.listening = sent.done + left < sent.total
        if not each and not sent.listening:
            after = max((answer.after for answer in answers), default=0.0)
            text = f"ok: {sent.good} sent" + (f", stopped with {left} left" if left else "")
            sent.answers.append(Answer("broker", True, text, after))

    return done
