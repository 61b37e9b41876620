"""Running a call again, and letting another call take its place.

Source: celery/app/task.py (`retry`, `replace`, `signature_from_request`), celery/app/autoretry.py,
celery/utils/time.py (`get_exponential_backoff_interval`); PROTOCOL 3.3.
"""

import random
import sys
from typing import Any

from tq.app.producer import capture
from tq.canvas import group, signature
from tq.errors import ConfigError, Ignore, MaxRetriesExceededError, Retry
from tq.execution.context import Context

__all__ = [
    "again_options",
    "publish_retry",
    "replace_task",
    "retry_countdown",
    "send_replacement",
]


def retry_countdown(task: Any, retries: int) -> float:
    """Return the seconds until an automatic retry.

    Args:
        task: Gives `retry_backoff` and its companions, or `default_retry_delay` without backoff.
        retries: How many came before.
    """
    if not task.retry_backoff:
        given = task.retry_kwargs.get("countdown")
        return float(task.default_retry_delay if given is None else given)
    base = 1.0 if task.retry_backoff is True else float(task.retry_backoff)
    # Beyond 2**64 the product overflows a float long after it passed any sensible maximum.
    delay = min(float(task.retry_backoff_max), base * 2.0 ** min(retries, 64))
    # Jitter spreads retries of many tasks; below a millisecond it is no use to anybody.
    return random.uniform(0.0, delay) if task.retry_jitter else max(0.0, delay)


def again_options(request: Context, queue: str | None = None) -> dict[str, Any]:
    """Return the options that make a call once more, with its id, relations and address."""
    options = {
        name: value for name, value in request.as_execution_options().items() if value is not None
    }
    # The publisher takes the running call as parent, as Celery's retries do.
    options.pop("parent_id", None)
    options.update(options.get("stamps") or {})
    info = request.delivery_info or {}
    if info.get("priority") is not None:
        options["priority"] = info["priority"]
    if queue:
        options["queue"] = queue
    elif info.get("exchange"):
        options.update(exchange=info["exchange"], routing_key=info.get("routing_key") or "")
    elif info.get("routing_key"):
        options["queue"] = info["routing_key"]
    return options


def publish_retry(
    task: Any,
    args: Any,
    kwargs: Any,
    exc: BaseException | None,
    limit: int | None,
    options: dict[str, Any],
) -> Retry:
    """Send the running call again and return the signal that ends this run.

    Args:
        task: The running task.
        args: Other arguments, or None.
        kwargs: Other keyword arguments, or None.
        exc: The reason.
        limit: Retries allowed, None for any number.
        options: `eta`, `countdown` and others.
    """
    request = task.request
    if request.called_directly:
        # There is no call to repeat: the caller of the function gets the reason.
        _raise_cause(exc)
        raise Retry("Task can be retried", exc=None)
    retries = request.retries + 1
    options = {name: value for name, value in options.items() if value is not None}
    # What the caller chose to show in the arguments' place stays in their place.
    if args is None and request.argsrepr is not None:
        options.setdefault("argsrepr", request.argsrepr)
    if kwargs is None and request.kwargsrepr is not None:
        options.setdefault("kwargsrepr", request.kwargsrepr)
    sig = task.signature_from_request(request, args, kwargs, **{**options, "retries": retries})
    if limit is not None and retries > limit:
        _raise_cause(exc)
        raise MaxRetriesExceededError(
            f"Can't retry {task.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
            task_args=request.args,
            task_kwargs=request.kwargs,
        )
    when = options.get("eta") or options.get("countdown")
    signal = Retry(exc=exc, when=when, is_eager=request.is_eager, sig=sig)
    if not request.is_eager:
        _send_later(request, sig)
    return signal


def _raise_cause(exc: BaseException | None) -> None:
    """Raise `exc`, or what is being handled; return when there is neither."""
    if exc is not None:
        raise exc
    handled = sys.exc_info()[1]
    if handled is not None and not isinstance(handled, Retry):
        raise handled


def _send_later(request: Context, sig: Any) -> None:
    """Send with this run's acknowledgement, so that a crash in between repeats nothing."""
    if request.successors is None:
        sig.apply_async(add_to_parent=False)
        return
    with capture() as messages:
        sig.apply_async(add_to_parent=False)
    request.successors.extend(messages)


def replace_task(task: Any, sig: Any) -> Any:
    """Make `sig` continue the running call: id, callbacks, rest of the chain, chord.

    Raises:
        ConfigError: `sig` is part of a chord, or an empty chain.
    """
    request = task.request
    if "chord" in sig.options:
        raise ConfigError("a signature that replaces a task must not be part of a chord")
    if sig.get("subtask_type") == "chain" and not sig.tasks:
        raise ConfigError("a task cannot be replaced by an empty chain")
    nesting = (request.replaced_task_nesting or 0) + 1
    if isinstance(sig, group):
        # A group has no end of its own to link to; its chord's body has.
        sig |= task.app.tasks["celery.accumulate"].s(index=0)
    if request.stamped_headers:
        stamps = request.stamps or {}
        sig.stamp(**{name: stamps.get(name) for name in request.stamped_headers})
    for callback in request.callbacks or ():
        sig.link(callback)
    for errback in request.errbacks or ():
        sig.link_error(errback)
    if sig.get("subtask_type") == "chain" and sig.options.get("link"):
        last = sig.tasks[-1]
        for callback in sig.options.pop("link"):
            last.link(callback)
    sig.freeze(request.id)
    sig.set(
        chord=request.chord,
        group_id=request.group,
        group_index=request.group_index,
        root_id=request.root_id,
        replaced_task_nesting=nesting,
    )
    for step in reversed(request.chain or []):
        following = signature(step, app=task.app)
        following.set(replaced_task_nesting=nesting)
        sig |= following
    return task.on_replace(sig)


def send_replacement(task: Any, sig: Any) -> Any:
    """Run the replacement in eager mode, else send it and end this run."""
    request = task.request
    if request.is_eager:
        return sig.apply().get()
    if request.successors is None:
        sig.delay()
    else:
        with capture() as messages:
            sig.delay()
        request.successors.extend(messages)
    # The replacement carries them: nobody waits for this run any more.
    request.chord = request.chain = None
    raise Ignore("Replaced by new task")
