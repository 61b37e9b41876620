"""Every error tq raises on purpose.

    TQError
      ConfigError (also ImproperlyConfigured)
      WireError
        DecodeError            keeps the bytes
        EncodeError
        ContentDisallowed
      BrokerError
        BrokerConnectionError  retry may help (also OperationalError)
        QueueNotFound
        QueueDeclarationMismatch
      BackendError
        ResultNotStored
        ResultTimeout          also the built-in TimeoutError
      TaskError
        ChordError
        NotRegistered
        AlreadyRegistered
        IncompleteStream
      InvalidTaskError
        TaskRevokedError
        MaxRetriesExceededError
        SoftTimeLimitExceeded
        TimeLimitExceeded
        WorkerLostError
        RemoteError            an exception of another process whose class must not be rebuilt
      ControlError
        NoReplyError
        CommandRefused
    TaskSignal                 control flow raised by tasks; not an error
      Retry
      Ignore
      Reject

A class whose name travels in results keeps Celery's name. Context is given by keyword and kept as
attributes; every error survives pickling.
"""

from typing import Any

__all__ = [
    "AlreadyRegistered",
    "BackendError",
    "BrokerConnectionError",
    "BrokerError",
    "ChordError",
    "CommandRefused",
    "ConfigError",
    "ContentDisallowed",
    "ControlError",
    "DecodeError",
    "EncodeError",
    "Ignore",
    "ImproperlyConfigured",
    "IncompleteStream",
    "InvalidTaskError",
    "MaxRetriesExceededError",
    "NoReplyError",
    "NotRegistered",
    "OperationalError",
    "QueueDeclarationMismatch",
    "QueueNotFound",
    "Reject",
    "RemoteError",
    "ResultNotStored",
    "ResultTimeout",
    "Retry",
    "SoftTimeLimitExceeded",
    "TQError",
    "TaskError",
    "TaskRevokedError",
    "TaskSignal",
    "TimeLimitExceeded",
    "TimeoutError",
    "WireError",
    "WorkerLostError",
]


class _Keyworded(Exception):
    """Arguments as usual, context as keywords that become attributes and survive pickling."""

    def __init__(self, *args: Any, **context: Any) -> None:
        """Keep `args` as the exception's arguments and each keyword as an attribute."""
        super().__init__(*args)
        self.__dict__.update(context)

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the arguments, then restore the context."""
        return (type(self), self.args, self.__dict__)


class TQError(_Keyworded):
    """Root of every tq error."""


class ConfigError(TQError):
    """A setting, option or URL is wrong; says which one and what would be right."""


ImproperlyConfigured = ConfigError


class WireError(TQError):
    """Bytes and data do not fit each other."""


class DecodeError(WireError):
    """Bytes that cannot be read; `reason` is one word for counters, `raw` the bytes."""

    reason: str = "undecodable"
    raw: bytes = b""


class EncodeError(WireError):
    """A value that cannot be written in the chosen serializer."""


class ContentDisallowed(DecodeError):
    """A content type or compression that this process does not accept."""

    reason = "content_disallowed"


class BrokerError(TQError):
    """The broker refused or could not do what was asked."""


class BrokerConnectionError(BrokerError):
    """The broker does not answer; trying again may help."""


OperationalError = BrokerConnectionError


class QueueNotFound(BrokerError, KeyError):
    """A queue that is not declared, where missing queues are not created."""

    def __str__(self) -> str:
        """Return the message; `KeyError` would show its repr."""
        return Exception.__str__(self)


class QueueDeclarationMismatch(BrokerError):
    """A queue or exchange exists with other properties than those declared."""


class BackendError(TQError):
    """The result backend refused or could not do what was asked."""


class ResultNotStored(BackendError):
    """A result could not be written."""


class ResultTimeout(BackendError, TimeoutError):  # the built-in: this module's alias comes below
    """No result within the timeout."""


class TaskError(TQError):
    """A task cannot be run, or ended in an error of the queue rather than its own."""


class ChordError(TaskError):
    """A part of a chord's header failed, so its body will not run."""


class NotRegistered(TaskError, KeyError):
    """No task of that name is known here; `args[0]` is the name."""

    def __str__(self) -> str:
        """Return the message; `KeyError` would show its repr."""
        return Exception.__str__(self)


class AlreadyRegistered(TaskError):
    """A task of that name exists with another implementation."""


class IncompleteStream(TaskError):
    """A tree of results was read to its end, but part of it has not ended yet."""


class InvalidTaskError(TaskError):
    """A task message has fields that make no sense."""


class TaskRevokedError(TaskError):
    """The task was revoked, terminated or expired; `args[0]` says which."""


class MaxRetriesExceededError(TaskError):
    """A task asked for one retry more than `max_retries` allows."""


class SoftTimeLimitExceeded(TaskError):
    """Raised inside a task when its soft time limit passes; `args[0]` is the limit in seconds."""


class TimeLimitExceeded(TaskError):
    """The hard time limit passed and the task was killed; `args[0]` is the limit in seconds."""


class WorkerLostError(TaskError):
    """The process that ran the task died."""


class RemoteError(TaskError):
    """An exception raised elsewhere whose class is unknown here or must not be rebuilt.

    Attributes:
        exc_type: Its qualified class name.
        exc_module: The module it was defined in, if known.
    """

    exc_type: str = "Exception"
    exc_module: str | None = None


class ControlError(TQError):
    """A control command failed."""


class NoReplyError(ControlError):
    """No worker answered within the timeout."""


class CommandRefused(ControlError):
    """The command is not allowed here: unknown, read-only, or not confirmed."""


class TaskSignal(_Keyworded):
    """Root of what a task raises to steer its own message; not an error."""


class Retry(TaskSignal):
    """The task is to be run again later.

    Attributes:
        exc: The exception that led to the retry, or None.
        when: Seconds until the retry (float), a datetime, or None.
        is_eager: Whether the task runs in the caller.
        sig: The signature to run again, or None.
    """

    exc: BaseException | None = None
    when: Any = None
    is_eager: bool = False
    sig: Any = None

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | None = None,
        when: Any = None,
        is_eager: bool = False,
        sig: Any = None,
        **context: Any,
    ) -> None:
        """Keep what Celery's class keeps, under the same names."""
        super().__init__(message, exc, when, message=message, **context)
        self.exc, self.when, self.is_eager, self.sig = exc, when, is_eager, sig

    def humanize(self) -> str:
        """Say when the retry is due, in words."""
        if isinstance(self.when, int | float):
            return f"in {self.when}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        """Describe the retry and its cause, as Celery's `Retry` does."""
        if self.args and self.args[0]:
            return str(self.args[0])
        if self.exc is not None:
            return f"Retry {self.humanize()}: {self.exc!r}"
        return f"Retry {self.humanize()}"


class Ignore(TaskSignal):
    """The task's outcome is not to be recorded."""


class Reject(TaskSignal):
    """The task's message is to be rejected.

    Attributes:
        reason: Why.
        requeue: Whether the message goes back to its queue.
    """

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        """Keep both as arguments, as Celery's class does."""
        super().__init__(reason, requeue)
        self.reason, self.requeue = reason, requeue

    def __repr__(self) -> str:
        """Show reason and requeue, as stored in results."""
        return f"reject requeue={self.requeue}: {self.reason}"


TimeoutError = ResultTimeout  # noqa: A001 - Celery users catch `celery.exceptions.TimeoutError` by this name
