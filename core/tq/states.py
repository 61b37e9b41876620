"""Task states, their groups and their precedence.

Source: PROTOCOL 7.4 and 9.1; celery/states.py (`PRECEDENCE`, `state`).
"""

from enum import StrEnum

__all__ = [
    "ALL_STATES",
    "EXCEPTION_STATES",
    "FAILURE",
    "IGNORED",
    "PENDING",
    "PRECEDENCE",
    "PROPAGATE_STATES",
    "READY_STATES",
    "RECEIVED",
    "REJECTED",
    "RETRY",
    "REVOKED",
    "STARTED",
    "SUCCESS",
    "UNREADY_STATES",
    "State",
    "precedence",
    "supersedes",
]


class State(StrEnum):
    """The built-in states; a task may also set any other upper-case text as its state."""

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    RETRY = "RETRY"
    REVOKED = "REVOKED"
    REJECTED = "REJECTED"
    IGNORED = "IGNORED"


PENDING = "PENDING"
RECEIVED = "RECEIVED"
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
RETRY = "RETRY"
REVOKED = "REVOKED"
REJECTED = "REJECTED"
IGNORED = "IGNORED"

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

# Strongest first; None stands for every custom state.
PRECEDENCE: tuple[str | None, ...] = (
    SUCCESS,
    FAILURE,
    None,
    REVOKED,
    STARTED,
    RECEIVED,
    REJECTED,
    RETRY,
    PENDING,
)
_RANK = {state: rank for rank, state in enumerate(PRECEDENCE) if state is not None}
_CUSTOM_RANK = PRECEDENCE.index(None)


def precedence(state: str) -> int:
    """Return the rank of a state; 0 is the strongest, custom states share one rank."""
    return _RANK.get(state, _CUSTOM_RANK)


def supersedes(new: str, old: str) -> bool:
    """Tell whether a task in state `old` moves to `new` when an event says so.

    A weaker state never replaces a stronger one, except that RETRY may follow and be followed by
    anything: a retried task starts over.

    Source: PROTOCOL 7.4; celery/events/state.py, `Task.event`.
    """
    if RETRY in (new, old):
        return True
    return precedence(new) <= precedence(old)
