"""Finds the scheduler class that the user names, and does beat's rounds with it.

Source: celery/beat.py, `Service.get_scheduler`; SETTINGS `beat_scheduler`.
"""

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tq.beat.lease import Leader
from tq.beat.rounds import BATCH
from tq.beat.scheduler import PersistentScheduler, Scheduler
from tq.errors import ConfigError

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["CustomRounds", "blamed_on", "find_scheduler"]

_log = logging.getLogger(__name__)

_GROUP = "tq.beat_schedulers"
_DEFAULTS = ("celery.beat:PersistentScheduler", "celery.beat.PersistentScheduler")


def find_scheduler(name: str | type | None) -> type[Scheduler] | None:
    """Return the class that `beat_scheduler` names; None for tq's own scheduler.

    Args:
        name: The class; or `module:Class`, `module.Class`, or the name of an entry point of the
            group `tq.beat_schedulers`. Celery's name of its default stands for tq's own.

    Raises:
        ConfigError: It cannot be imported, or is no subclass of `tq.beat.Scheduler`.
    """
    if not name or name in _DEFAULTS:
        return None
    found = _imported(name) if isinstance(name, str) else name
    if not isinstance(found, type) or not issubclass(found, Scheduler):
        raise ConfigError(f"beat_scheduler {name!r} is no subclass of tq.beat.Scheduler")
    return None if found is PersistentScheduler else found


def _imported(name: str) -> Any:
    from importlib.metadata import entry_points  # 40 ms that most programs never need

    known = {point.name: point for point in entry_points(group=_GROUP)}
    target = known[name].value if name in known else name
    module, colon, attribute = target.partition(":")
    if not colon:
        module, _, attribute = target.rpartition(".")
    if not module or not attribute:
        names = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"beat_scheduler {name!r}: give module:Class, or a name that is installed ({names})"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"beat_scheduler {name!r} cannot be imported: {exc}") from exc


@contextlib.contextmanager
def blamed_on(found: type) -> Iterator[None]:
    """Turn whatever code of the user's own raises into one error that names its class."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as exc:
        _log.debug("%s raised", found.__qualname__, exc_info=True)
        raise ConfigError(f"the scheduler {found.__qualname__} cannot be used: {exc!r}") from exc


class CustomRounds:
    """Sends what a scheduler of the user's own finds due. Owned by the beat's thread."""

    def __init__(
        self,
        app: "TQ",
        found: type[Scheduler],
        *,
        max_interval: float | None,
        schedule_filename: str | None,
    ) -> None:
        """Prepare; the scheduler is made by `open`.

        Args:
            app: The application.
            found: The class.
            max_interval: Longest sleep in seconds, or None for the class's own.
            schedule_filename: Told to the class.
        """
        self.scheduler: Any = None
        self._app = app
        self._found = found
        self._told: dict[str, Any] = {
            "max_interval": max_interval,
            "schedule_filename": schedule_filename,
        }

    @property
    def sent(self) -> int:
        """Tasks sent since the start."""
        return self.scheduler.sent if self.scheduler is not None else 0

    def open(self) -> None:
        """Make the scheduler, in the thread that uses it: databases may insist on that."""
        with blamed_on(self._found):
            self.scheduler = self._found(self._app, **self._told)

    def lead(self, leader: Leader) -> None:
        """Take over how far the leader before us has come, with entries in memory."""
        self.scheduler.leader = leader
        self.scheduler.restore(leader.recall())

    def watch(self) -> None:
        """Do nothing: the scheduler looks after its entries at each look."""

    def look(self, leader: Leader, lead: Callable[[], bool]) -> float:
        """Let the scheduler send what is due; see `Rounds.look`."""
        scheduler, wait = self.scheduler, 0.0
        for _ in range(BATCH):
            wait = scheduler.tick() or 0.0
            if wait > 0 or not lead():
                break
        if scheduler.should_sync():
            self._synchronize()
        return wait

    def _synchronize(self) -> None:
        try:
            self.scheduler.synchronize()
        except Exception:  # the boundary: its database may be away; tasks are sent all the same
            _log.exception("the scheduler cannot store its progress, trying again")

    def close(self, leading: bool) -> None:
        """Close the scheduler."""
        if self.scheduler is not None:
            self.scheduler.close()
