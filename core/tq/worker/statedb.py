"""What a worker remembers across restarts: revoked ids and its logical clock, in a JSON file.

Source: PROTOCOL 11 and 13; RELIABILITY 7 (17): no pickle, so a writable file is no code.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tq.clock import Clock, LamportClock
from tq.errors import ConfigError
from tq.worker.limits import RevokedIds
from tq.worker.loop import Loop, Timer

__all__ = ["StateFile"]

logger = logging.getLogger(__name__)

_SAVE_SECONDS = 30.0  # most that a killed worker forgets
_MOST_BYTES = 64 << 20  # far more than the bounded set of ids can need
_KIND = "tq worker state"


class _State(msgspec.Struct, forbid_unknown_fields=True):
    """The file's content; `revoked` holds `(id, wall timestamp)`, oldest first."""

    kind: str
    version: int
    clock: int
    revoked: list[tuple[str, float]]


class StateFile:
    """Reads the state when the worker starts, writes it now and then and at the end.

    Owned by the loop thread.
    """

    name = "state file"

    def __init__(
        self, loop: Loop, path: str, revoked: RevokedIds, lamport: LamportClock, clock: Clock
    ) -> None:
        """Keep what is to be remembered; nothing is read yet."""
        self.path = Path(path)
        self._loop = loop
        self._revoked = revoked
        self._lamport = lamport
        self._now: Callable[[], float] = clock.time
        self._timer: Timer | None = None
        self._saved: list[tuple[str, float]] | None = None

    def start(self) -> None:
        """Take in what the file says; a damaged one is set aside.

        Raises:
            ConfigError: The file can be neither read nor written.
        """
        state = self._load()
        if state is not None:
            self._revoked.restore(state.revoked, self._now())
            self._lamport.adjust(max(0, state.clock))
        try:
            self._save()
        except OSError as exc:
            raise ConfigError(f"--statedb {self.path}: {exc.strerror}") from exc
        self._timer = self._loop.call_later(_SAVE_SECONDS, self._save_soon)

    def stop(self, deadline: float) -> None:
        """Write the state a last time."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._try_save()

    def _save_soon(self) -> None:
        self._timer = self._loop.call_later(_SAVE_SECONDS, self._save_soon)
        if self._revoked.items() != self._saved:
            self._try_save()

    def _try_save(self) -> None:
        try:
            self._save()
        except OSError as exc:
            logger.error("the state file %s cannot be written: %s", self.path, exc.strerror)

    def _load(self) -> _State | None:
        """Read the file; None when there is none, or none that can be used."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigError(f"--statedb {self.path}: {exc.strerror}") from exc
        try:
            if len(raw) > _MOST_BYTES:
                raise msgspec.ValidationError(f"more than {_MOST_BYTES} bytes")
            state = msgspec.json.decode(raw, type=_State)
            if state.kind != _KIND or state.version != 1:
                raise msgspec.ValidationError(f"kind {state.kind!r}, version {state.version}")
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            self._set_aside(str(exc))
            return None
        return state

    def _set_aside(self, reason: str) -> None:
        """Keep a damaged file under another name, for whoever wants to look into it."""
        aside = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        try:
            self.path.replace(aside)
        except OSError as exc:
            raise ConfigError(f"--statedb {self.path}: {exc.strerror}") from exc
        logger.warning(
            "the state file %s is not one of tq's (%.200s); it is now %s, revoked ids start anew",
            self.path,
            reason,
            aside,
        )

    def _save(self) -> None:
        """Write a new file and put it in the old one's place, so that no crash leaves half."""
        self._revoked.expire(self._now())
        entries = self._revoked.items()
        raw = msgspec.json.encode(_State(_KIND, 1, self._lamport.value, entries))
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        self._saved = entries
