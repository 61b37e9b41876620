"""How the pool runs tasks: decode, run, say what became of it, and in children settle it too.

Source: architecture.md, "The worker's hot path"; PROTOCOL 6.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from tq import logs, signals
from tq.brokers.base import Settlement, Settler
from tq.errors import BackendError, BrokerError, DecodeError, NotRegistered
from tq.execution import build_context, run_task, run_task_async
from tq.execution.context import Context, current_context
from tq.execution.outcome import Execution
from tq.pools.base import Finished, Job, Outcome
from tq.states import FAILURE, IGNORED, REJECTED, SUCCESS
from tq.wire.message import TaskBody, read_body
from tq.worker.debugging import debug_handlers
from tq.worker.effects import Effects, EffectWriter
from tq.worker.journal import journal
from tq.worker.outcome import (
    REQUEUE,
    UNREADABLE,
    Assignment,
    Record,
    decode_assignment,
    decode_record,
    encode_record,
)
from tq.worker.policies import body_limits
from tq.worker.spawning import AppParcel, pack_app, unpack_app

__all__ = ["TaskRunner"]

logger = logging.getLogger(__name__)

_FIRST_RETRY = 0.1
_LAST_RETRY = 5.0
_PLAIN_SUCCESS = encode_record(Record(SUCCESS))


class TaskRunner:
    """The pools' `Runner`.

    In prefork's children `run` and `settle` are called; elsewhere only `run` or `run_async`, and
    the worker's loop fetches the effects with `read_outcome`. Threads share it: what a job leaves
    behind is kept under its own id.
    """

    def __init__(
        self,
        app: Any,
        hostname: str,
        accept: frozenset[str],
        log_options: logs.LogOptions | None,
    ) -> None:
        """Keep what children need; nothing is connected."""
        self._app = app
        self._hostname = hostname
        self._log_options = log_options
        self._accept = accept
        self._limits = body_limits(app.conf.settings)
        self._effects: dict[str, tuple[Effects | None, Record]] = {}
        self._settlers: dict[str, Settler | None] = {}
        self._early: dict[str, Settler | None] = {}
        self._writer: EffectWriter | None = None
        self._fused = _shares_server(app)
        self._parent = os.getpid()
        self._early_lock = threading.Lock()
        self._logging = ExitStack()
        self._spawned = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what a spawned child needs to be given; the rest it makes anew."""
        given = (self._hostname, self._accept, self._log_options, self._parent)
        return (_unpack, (pack_app(self._app), *given))

    def spawned(self, parent: int) -> None:
        """Take note that this process is a fresh one, and of whose child it is."""
        self._parent, self._spawned = parent, True

    @property
    def fused(self) -> bool:
        """Tell whether results are written in the settle step."""
        return self._fused

    # Called by the pool.

    def setup(self, slot: int) -> None:
        """Prepare a slot; in a child, forget the parent's connections and name the process."""
        logs.set_task_source(_running_task)
        if os.getpid() == self._parent:
            return
        multiprocessing.current_process().name = f"ForkPoolWorker-{slot + 1}"
        for number, handler in debug_handlers(runs_tasks=True).items():
            signal.signal(number, handler)
        if self._spawned:  # a fork inherits its parent's logging
            self._logging.enter_context(journal(self._log_options, self._app.conf.settings))
        if self._log_options is not None:
            logs.reopen(self._log_options, slot + 1)
        self._writer = EffectWriter(self._app, self._app.backend, self._app.broker)
        self._app.on_after_fork.send(sender=self._app)
        signals.worker_process_init.send(sender=self._hostname)

    def teardown(self, slot: int) -> None:
        """Undo `setup`."""
        if os.getpid() == self._parent:
            return
        signals.worker_process_shutdown.send(sender=self._hostname, pid=os.getpid(), exitcode=0)
        for settler in (*self._settlers.values(), *self._early.values()):
            if settler is not None:
                settler.close()
        self._logging.close()

    def run(self, job: Job) -> Outcome:
        """Run one job in this thread."""
        assignment = decode_assignment(job.payload)
        try:
            prepared = self._prepare(assignment)
            if isinstance(prepared, Record):
                return self._keep(job.id, None, prepared)
            execution = run_task(self._app, *prepared)
        except Exception as exc:
            return self._keep(job.id, None, _not_run(assignment, exc))
        return self._finish(assignment, prepared[0], execution)

    async def run_async(self, job: Job) -> Outcome:
        """Run one job on the caller's event loop."""
        assignment = decode_assignment(job.payload)
        try:
            prepared = self._prepare(assignment)
            if isinstance(prepared, Record):
                return self._keep(job.id, None, prepared)
            execution = await run_task_async(self._app, *prepared)
        except Exception as exc:
            return self._keep(job.id, None, _not_run(assignment, exc))
        return self._finish(assignment, prepared[0], execution)

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Record a batch in a prefork child; returns what the parent is to know.

        While a server is away it waits: a finished task's result must not be lost, and the lease
        is the parent's to keep.
        """
        kept = [self._effects.pop(outcome.job_id, None) for outcome in outcomes]
        settled: list[Effects] = []
        recorded: list[Effects] = []
        for entry in kept:
            if entry is not None and entry[0] is not None:
                (settled if entry[1].bury is None else recorded).append(entry[0])
        settler = self._settler(self._settlers, outcomes[0].job_id) if settled else None
        if settled:
            self._write(settled, settler)
        if recorded:
            self._write(recorded, None)
        reports = settler is not None
        return [
            outcome
            if entry is None or entry[0] is None or entry[1].bury is not None
            else _reported(outcome, entry[0], entry[1], reports)
            for outcome, entry in zip(outcomes, kept, strict=True)
        ]

    # Called by the worker's loop.

    def read_outcome(self, event: Finished) -> tuple[Record, Effects | None]:
        """Read what came back, with the effects that the loop has to write itself."""
        kept = self._effects.pop(event.job_id, None)
        if kept is not None:
            return kept[1], kept[0]
        return decode_record(event.outcome.payload), None

    # One job.

    def _prepare(self, assignment: Assignment) -> tuple[Context, TaskBody] | Record:
        """Read the body and acknowledge early where that is asked for.

        Returns:
            What to run, or a record of why it is not run.
        """
        message = assignment.message()
        try:
            body = read_body(message, self._accept, self._limits)
        except DecodeError as exc:
            return Record(UNREADABLE, None, exc.reason, str(exc))
        context = build_context(
            assignment.headers,
            body,
            message,
            hostname=self._hostname,
            redelivered=assignment.redelivered,
            deliveries=assignment.deliveries,
        )
        task = self._app.tasks[assignment.headers.task]
        if task.acks_late and self._succeeded_before(assignment):
            return Record(IGNORED, None, "it succeeded before")
        if not task.acks_late and not self._acknowledge(assignment):
            return Record(IGNORED, lost=True)
        return context, body

    def _succeeded_before(self, assignment: Assignment) -> bool:
        """Tell whether a delivery that comes again has left its result already, where asked for."""
        again = assignment.redelivered or assignment.deliveries or assignment.headers.redelivered
        if not again or not self._app.conf.settings.worker_deduplicate_successful_tasks:
            return False
        task_id = assignment.headers.id
        record = self._app.backend.fetch([task_id]).get(task_id)
        return record is not None and record.status == SUCCESS

    def _acknowledge(self, assignment: Assignment) -> bool:
        """Acknowledge before the run, where the job runs; False when the lease is lost."""
        if os.getpid() == self._parent:
            return True  # the loop does it when it hears that the job has started
        with self._early_lock:
            settler = self._settler(self._early, assignment.tag)
            if settler is None:
                return True
            item = Settlement(tag=assignment.tag, started=True)
            return settler.settle([item])[0].done

    def _finish(self, assignment: Assignment, context: Context, execution: Execution) -> Outcome:
        """Turn what the run gave into effects and a record."""
        tag = assignment.tag
        state = execution.state
        task = self._app.tasks[execution.name]
        if state == REJECTED and execution.reject and task.acks_late:
            record = Record(state, execution.runtime, execution.result_repr, None, True)
            return self._keep(tag, None, record)
        record = Record(state, execution.runtime)
        if assignment.reports or state != SUCCESS:
            record.text = execution.result_repr
            record.traceback = execution.traceback
            # An early ack leaves nothing to requeue: then neither yes nor no is true.
            record.requeue = False if state == REJECTED and not execution.reject else None
            record.expected = execution.expected
        if state == FAILURE and task.acks_late and not _acks_on_failure(task, self._app.conf):
            record.bury = "task_failed"
        return self._keep(tag, self._effects_of(tag, context, execution, record.bury), record)

    def _effects_of(
        self, tag: str, context: Context, execution: Execution, bury: str | None
    ) -> Effects:
        """Collect all that ends the delivery, split between the settle step and the backend."""
        if self._fused and bury is None:
            settlement = execution.settlement(tag)
            return Effects(settlement, execution.others, chord=execution.chord)
        results = list(execution.others)
        if execution.meta is not None:
            results.append(execution.meta)
        effects = Effects(Settlement(tag=tag), results, chord=execution.chord)
        if context.reply_to:
            effects.reply_to = {result.task_id: context.reply_to for result in results}
        if execution.chord is not None:
            effects.part = execution.chord.part
        effects.messages = execution.messages
        return effects

    def _keep(self, tag: str, effects: Effects | None, record: Record) -> Outcome:
        """Keep what cannot cross a process border until it is settled or fetched."""
        if effects is not None or os.getpid() == self._parent:
            self._effects[tag] = (effects, record)
        plain = record.state == SUCCESS and record.text is None and not record.runtime
        return Outcome(tag, _PLAIN_SUCCESS if plain else encode_record(record))

    # Settling in a child.

    def _write(self, effects: list[Effects], settler: Settler | None) -> None:
        writer = self._writer
        assert writer is not None
        delay = _FIRST_RETRY
        complained = False
        while True:
            try:
                writer.write(effects, settler.settle if settler is not None else None)
            except (BrokerError, BackendError) as exc:
                if not complained:
                    logger.error("%d results wait for their server: %s", len(effects), exc)
                complained = True
                time.sleep(delay)
                delay = min(_LAST_RETRY, delay * 2)
            else:
                break
        if complained:
            # A settlement sent twice answers the same, whether the first reply was lost or the tag.
            recorded = sum(effect.done for effect in effects)
            logger.warning(
                "their server answers again: %d results recorded now; of %d the delivery was gone:"
                " recorded before the connection broke, or lost with its lease",
                recorded,
                len(effects) - recorded,
            )

    def _settler(self, known: dict[str, Settler | None], tag: str) -> Settler | None:
        """Return the settler for the consumer that a tag belongs to."""
        consumer_id = tag.rpartition("/")[0]
        if consumer_id not in known:
            known[consumer_id] = self._app.read_broker.settler(consumer_id)
        return known[consumer_id]


def _unpack(
    parcel: AppParcel,
    hostname: str,
    accept: frozenset[str],
    log_options: logs.LogOptions | None,
    parent: int,
) -> TaskRunner:
    """Make the runner of a spawned child."""
    runner = TaskRunner(unpack_app(parcel), hostname, accept, log_options)
    runner.spawned(parent)
    return runner


def _reported(outcome: Outcome, effects: Effects, record: Record, settled: bool) -> Outcome:
    """Say in an outcome what settling it gave."""
    if not effects.done:
        record.lost = True
        return Outcome(outcome.job_id, encode_record(record), settled)
    return Outcome(outcome.job_id, outcome.payload, settled)


def _acks_on_failure(task: Any, conf: Any) -> bool:
    """Tell whether a task that raised is acknowledged: its own word, else the settings'."""
    given = (
        getattr(task, "acks_on_failure", None),
        getattr(task, "acks_on_failure_or_timeout", None),
        conf.task_acks_on_failure,
        conf.task_acks_on_failure_or_timeout,
    )
    return bool(next((value for value in given if value is not None), True))


def _shares_server(app: Any) -> bool:
    location = app.read_broker.location
    if location is None or location != app.backend.location:
        return False
    # Messages of the settle step go out where the delivery came from.
    return bool(app.broker.location == location)


def _not_run(assignment: Assignment, exc: Exception) -> Record:
    """Say why a job was not run: its message goes back and is tried again elsewhere."""
    label = f"{assignment.headers.task}[{assignment.headers.id}]"
    if isinstance(exc, NotRegistered):
        logger.error("task %s is registered in the worker's parent only", label)
    else:
        logger.error("task %s could not be run", label, exc_info=exc)
    return Record(REQUEUE, None, f"{type(exc).__name__}: {exc}"[:500])


def _running_task() -> tuple[str, str] | None:
    context = current_context()
    if context is None:
        return None
    return context.task or "???", context.id or "???"
