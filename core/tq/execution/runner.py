"""Run one task: build up, call, and make exactly one outcome of what happened.

    run_task(app, context, body=None) -> Execution             coroutine functions run to their end
    await run_task_async(app, context, body=None) -> Execution sync functions run in a thread

Nothing is acknowledged, published or (but for STARTED) stored here: the outcome says what is to be
settled. `BaseException`s that are not `Exception`s pass through, but for `SystemExit`, which a task
raises by calling `sys.exit()` and which fails it.

Source: celery/app/trace.py, `build_tracer` (order of signals, handlers and records).
"""

import logging
import time
import traceback as traceback_module
from types import CoroutineType
from typing import Any

from tq import signals
from tq.errors import EncodeError, Ignore, Reject, Retry, TQError
from tq.execution.callbacks import (
    call_errbacks,
    following_ids,
    pending_chord,
    send_successors,
    sent_under_own_id,
)
from tq.execution.context import Context, pop, push
from tq.execution.host import Host
from tq.execution.loops import run_coroutine
from tq.execution.outcome import ExceptionInfo, Execution
from tq.execution.plan import Plan, plan_for
from tq.execution.record import check_encodes, started_record, state_record
from tq.results import denied_join_result
from tq.saferepr import saferepr
from tq.states import FAILURE, IGNORED, REJECTED, RETRY, SUCCESS
from tq.wire.message import TaskBody
from tq.wire.result import ResultMeta

__all__ = ["run_task", "run_task_async"]

_log = logging.getLogger(__name__)


class _Run:
    """One call in progress."""

    __slots__ = ("app", "args", "context", "id", "kwargs", "plan", "started", "task")

    def __init__(self, app: Host, context: Context, body: TaskBody | None) -> None:
        """Find the task and its plan.

        Raises:
            NotRegistered: There is no task of that name.
        """
        self.app = app
        self.context = context
        self.task = app.tasks[context.task or ""]
        self.plan: Plan = plan_for(app, self.task)
        self.args = context.args if body is None else body.args
        self.kwargs = context.kwargs if body is None else body.kwargs
        self.id = context.id or ""
        self.started = time.monotonic()
        if not context.is_eager:
            context.successors = []

    @property
    def ignores_result(self) -> bool:
        """Whether the value is not kept: the call's word, else the task's."""
        given = self.context.ignore_result
        ignored = self.plan.ignore_result if given is None else given
        return ignored or (self.context.is_eager and not self.plan.stores_eager)

    @property
    def keeps_errors(self) -> bool:
        """Whether a failure is recorded."""
        if self.context.is_eager:
            return self.plan.stores_eager
        return self.plan.stores_errors or not self.ignores_result

    @property
    def tracks_start(self) -> bool:
        """Whether STARTED is recorded."""
        return self.plan.track_started and not self.context.is_eager and not self.ignores_result


def run_task(app: Host, context: Context, body: TaskBody | None = None) -> Execution:
    """Run a call in this thread.

    Args:
        app: The application.
        context: From `build_context`; `context.task` names the task.
        body: Arguments, where they are not those of the context.

    Raises:
        NotRegistered: There is no task of that name here.
        BackendError: STARTED was to be stored and the backend is away; nothing has run.
    """
    run = _Run(app, context, body)
    token = push(run.task, context)
    execution: Execution | None = None
    try:
        with denied_join_result():
            if run.tracks_start:
                _store_started(run)
            try:
                _before(run)
                value = run.plan.function(*run.args, **run.kwargs)
                if type(value) is CoroutineType:
                    value = run_coroutine(value)
            except (Exception, SystemExit) as exc:
                execution = _raised(run, exc)
            else:
                execution = _returned(run, value)
            return execution
    finally:
        _after(run, execution)
        pop(token)


async def run_task_async(app: Host, context: Context, body: TaskBody | None = None) -> Execution:
    """Run a call on this event loop; a function that is no coroutine function runs in a thread.

    Arguments and errors are those of `run_task`. A cancellation passes through.
    """
    import asyncio  # only who runs an event loop calls this

    run = _Run(app, context, body)
    if not run.plan.is_async:
        return await asyncio.to_thread(run_task, app, context, body)
    token = push(run.task, context)
    execution: Execution | None = None
    try:
        with denied_join_result():
            if run.tracks_start:
                await asyncio.to_thread(_store_started, run)
            try:
                _before(run)
                value = await run.plan.function(*run.args, **run.kwargs)
            except (Exception, SystemExit) as exc:
                execution = _raised(run, exc)
            else:
                execution = _returned(run, value)
            return execution
    finally:
        _after(run, execution)
        pop(token)


def _store_started(run: _Run) -> None:
    run.app.backend.store([started_record(run.app, run.context)])


def _before(run: _Run) -> None:
    if signals.task_prerun:
        signals.task_prerun.send(
            sender=run.task, task_id=run.id, task=run.task, args=run.args, kwargs=run.kwargs
        )
    if "before_start" in run.plan.handlers:
        run.task.before_start(run.id, run.args, run.kwargs)


def _after(run: _Run, execution: Execution | None) -> None:
    """Tell receivers that the run is over, however it ended."""
    if not signals.task_postrun:
        return
    value = None
    if execution is not None:
        value = execution.retval if execution.exc is None else execution.exc
    signals.task_postrun.send(
        sender=run.task,
        task_id=run.id,
        task=run.task,
        args=run.args,
        kwargs=run.kwargs,
        retval=value,
        state=execution.state if execution is not None else None,
    )


# -- outcomes ------------------------------------------------------------------------------------


def _raised(run: _Run, exc: BaseException) -> Execution:
    """Choose the outcome of a run that raised."""
    if isinstance(exc, Reject):
        return _rejected(run, exc)
    if isinstance(exc, Ignore):
        return _ignored(run, exc)
    if not isinstance(exc, Retry) and _retries_by_itself(run.plan, exc):
        exc = _ask_for_retry(run, exc)
    if isinstance(exc, Retry):
        return _retried(run, exc)
    return _failed(run, exc)


def _retries_by_itself(plan: Plan, exc: BaseException) -> bool:
    if not plan.autoretry or not isinstance(exc, plan.autoretry):
        return False
    return not (plan.no_autoretry and isinstance(exc, plan.no_autoretry))


def _ask_for_retry(run: _Run, exc: BaseException) -> BaseException:
    """Ask for the retry that `autoretry_for` promises; returns `Retry`, or why there is none."""
    options = dict(run.task.retry_kwargs)
    if run.task.retry_backoff:
        options["countdown"] = run.task.retry_countdown(run.context.retries)
    try:
        signal: BaseException = run.task.retry(exc=exc, throw=False, **options)
    except Exception as refused:  # the limit is reached, or the retry cannot be published
        return refused
    signal.__traceback__ = exc.__traceback__
    return signal


def _returned(run: _Run, value: Any) -> Execution:
    """Make the outcome of a run that returned: successors, then the record, then handlers."""
    app, context = run.app, run.context
    ran = time.monotonic() - run.started
    known = len(context.children) if context.started_any else 0
    try:
        execution = _outcome(run, SUCCESS, retval=value, runtime=ran)
        if context.callbacks or context.chain:
            if context.is_eager:
                send_successors(app, context, value)
            else:
                with app.capture() as messages:
                    send_successors(app, context, value)
                execution.messages.extend(messages)
        keep = not run.ignores_result
        if keep or context.chord:
            _record(run, execution, value, keep)
    except (TQError, TypeError, ValueError) as exc:
        # The value cannot be stored or passed on; whoever waits for it must know.
        del context.children[known:]
        return _failed(run, _explained(run, value, exc))
    execution.result_repr = saferepr(value, run.task.resultrepr_maxsize)
    if "on_success" in run.plan.handlers:
        _call_handler(run, "on_success", value, run.id, run.args, run.kwargs)
    if signals.task_success:
        signals.task_success.send(sender=run.task, result=value, runtime=ran)
    if "after_return" in run.plan.handlers:
        _call_handler(run, "after_return", SUCCESS, value, run.id, run.args, run.kwargs, None)
    return execution


def _explained(run: _Run, value: Any, exc: BaseException) -> BaseException:
    if not isinstance(exc, EncodeError):
        return exc
    kind = type(value).__name__
    error = EncodeError(f"task {run.task.name} returned a {kind} that cannot be sent on: {exc}")
    error.__cause__ = exc
    return error


def _retried(run: _Run, signal: Retry) -> Execution:
    reason = signal.exc if signal.exc is not None else signal
    info = ExceptionInfo(signal)
    execution = _outcome(run, RETRY, exc=signal, info=info)
    execution.result_repr = saferepr(reason)
    if run.keeps_errors:
        record = state_record(run.app, run.context, run.id, RETRY, reason, info.traceback)
        _attach(run, execution, record)
    if "on_retry" in run.plan.handlers:
        _call_handler(run, "on_retry", signal.exc, run.id, run.args, run.kwargs, info)
    if signals.task_retry:
        signals.task_retry.send(sender=run.task, request=run.context, reason=signal, einfo=info)
    return execution


def _failed(run: _Run, exc: BaseException) -> Execution:
    info = ExceptionInfo(exc)
    execution = _outcome(run, FAILURE, exc=exc, info=info)
    execution.expected = isinstance(exc, run.plan.throws) if run.plan.throws else False
    _record_failure(run, execution, info)
    if "on_failure" in run.plan.handlers:
        _call_handler(run, "on_failure", exc, run.id, run.args, run.kwargs, info)
    _tell_failure(run, exc, info)
    if "after_return" in run.plan.handlers:
        _call_handler(run, "after_return", FAILURE, exc, run.id, run.args, run.kwargs, info)
    if not run.context.is_eager:
        # The outcome may wait in a batch; the frames' variables must not wait with it.
        traceback_module.clear_frames(exc.__traceback__)
    return execution


def _rejected(run: _Run, exc: Reject) -> Execution:
    """Give the message back, or drop it and record why (as Celery does since 5.7)."""
    info = ExceptionInfo(exc)
    execution = _outcome(run, REJECTED, exc=exc, info=info)
    execution.reject = bool(exc.requeue)
    if not exc.requeue:
        _record_failure(run, execution, info)
        if not run.context.is_eager:
            _tell_failure(run, exc, info)
    else:
        execution.messages = []
    return execution


def _tell_failure(run: _Run, exc: BaseException, info: ExceptionInfo) -> None:
    if signals.task_failure:
        signals.task_failure.send(
            sender=run.task,
            task_id=run.id,
            exception=exc,
            args=run.args,
            kwargs=run.kwargs,
            traceback=info.tb,
            einfo=info,
        )


def _ignored(run: _Run, exc: Ignore) -> Execution:
    """Record nothing; only a chord is told that this part brings it no value."""
    execution = _outcome(run, IGNORED, exc=exc)
    context = run.context
    if not context.is_eager and not sent_under_own_id(context):
        record = state_record(run.app, context, run.id, FAILURE, exc)
        execution.chord = pending_chord(run.app.backend, context, record)
    return execution


def _outcome(
    run: _Run,
    state: str,
    *,
    retval: Any = None,
    exc: BaseException | None = None,
    info: ExceptionInfo | None = None,
    runtime: float | None = None,
) -> Execution:
    """Begin an outcome, with what the task itself asked to be sent at its end."""
    return Execution(
        task_id=run.id,
        name=run.task.name,
        state=state,
        retval=retval,
        exc=exc,
        traceback=info.traceback if info is not None else None,
        runtime=time.monotonic() - run.started if runtime is None else runtime,
        result_repr=saferepr(exc) if exc is not None else "",
        messages=list(run.context.successors or ()),
    )


# -- records -------------------------------------------------------------------------------------


def _record(run: _Run, execution: Execution, value: Any, keep: bool) -> None:
    """Set the final record, and the part of the chord."""
    record = state_record(run.app, run.context, run.id, execution.state, value, execution.traceback)
    if keep:
        _attach(run, execution, record)
    context = run.context
    if context.chord and not context.is_eager:
        execution.chord = pending_chord(run.app.backend, context, record)


def _attach(run: _Run, execution: Execution, record: ResultMeta) -> None:
    """Keep a record, encoded where it is settled together with the acknowledgement.

    Raises:
        EncodeError: Its value has no form in the result serializer.
    """
    backend = run.app.backend
    location = None if run.context.is_eager else backend.location
    if location is not None and location == run.app.broker.location:
        execution.effect = backend.effect(record)
    else:
        check_encodes(run.app, record)
    execution.meta = record


def _record_failure(run: _Run, execution: Execution, info: ExceptionInfo) -> None:
    """Set the record of a failure, those of the steps that will not run, and call errbacks."""
    app, context = run.app, run.context
    record = state_record(app, context, run.id, FAILURE, info.exception, info.traceback)
    if run.keeps_errors:
        _attach(run, execution, record)
        execution.others = [
            state_record(app, Context(), task_id, FAILURE, info.exception, info.traceback)
            for task_id in following_ids(context.chain)
        ]
    if not context.is_eager:
        execution.chord = pending_chord(app.backend, context, record)
    if not context.errbacks:
        return
    try:
        if context.is_eager:
            call_errbacks(app, context, context.errbacks, info)
            return
        with app.capture() as messages:
            call_errbacks(app, context, context.errbacks, info)
        execution.messages.extend(messages)
    except Exception:  # the failure itself must be recorded, whatever its errbacks are
        _log.exception("errbacks of %s[%s] cannot be sent", run.task.name, run.id)


def _call_handler(run: _Run, name: str, *args: Any) -> None:
    """Call a handler; its exception is logged, since the outcome is decided already."""
    try:
        getattr(run.task, name)(*args)
    except Exception as exc:  # a user's handler
        if run.context.is_eager:
            raise
        _log.exception("%s of %s[%s] raised", name, run.task.name, run.id)
        if signals.task_internal_error:
            info = ExceptionInfo(exc, internal=True)
            signals.task_internal_error.send(
                sender=run.task,
                task_id=run.id,
                args=run.args,
                kwargs=run.kwargs,
                request=run.context,
                exception=exc,
                traceback=info.tb,
                einfo=info,
            )
