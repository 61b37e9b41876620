"""`app.conf`: a writable view of the frozen settings."""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tq.config.aliases import UNREAD_NAMES, UNUSED_NAMES, canonical
from tq.config.checks import unknown_name
from tq.config.loading import normalise
from tq.config.settings import DEFAULTS, FIELD_NAMES, Settings

__all__ = ["Conf", "LateSettingWarning", "UnusedSettingWarning", "mask_password"]

_SECRET = ("password", "secret", "token", "credential", "security_key", "access_key")


class UnusedSettingWarning(UserWarning):
    """A Celery setting was given that has no effect here."""


class LateSettingWarning(UserWarning):
    """A setting was changed after the connection that had read it was made."""


class Conf:
    """Settings as a user of an application reads and writes them.

    Values load on first use. A read costs one attribute look-up on the frozen record; hot paths
    hold `conf.settings` and compare it by identity to see whether anything was written since.
    Any thread may read or write; writes replace the record as a whole.
    """

    __slots__ = ("_load", "_lock", "_settings", "_unused", "_used")

    _settings: Settings | None
    _unused: dict[str, Any]
    _used: dict[str, str]

    def __init__(self, load: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """Prepare to load.

        Args:
            load: Called once, on first use; returns raw values by name in any known spelling.
        """
        set_slot = object.__setattr__
        set_slot(self, "_load", load)
        set_slot(self, "_settings", None)
        set_slot(self, "_unused", {})
        set_slot(self, "_used", {})
        set_slot(self, "_lock", threading.RLock())

    @property
    def settings(self) -> Settings:
        """Return the current record.

        Raises:
            ConfigError: The sources hold a name or value that is wrong.
        """
        current = self._settings
        return current if current is not None else self._first()

    @property
    def loaded(self) -> bool:
        """Tell whether the sources have been read."""
        return self._settings is not None

    @property
    def unused(self) -> tuple[str, ...]:
        """List the settings given that have no effect here, for `doctor` and the log."""
        current = self._settings or DEFAULTS
        return tuple(sorted([*self._unused, *_without_effect(current, UNREAD_NAMES)]))

    def _first(self) -> Settings:
        with self._lock:
            if self._settings is None:
                values = self._load() if self._load else {}
                self._replace(DEFAULTS, values, "configuration")
            assert self._settings is not None
            return self._settings

    def _replace(self, base: Settings, values: Mapping[str, Any], source: str) -> None:
        named = normalise(values, source)
        unused = {name: named.pop(name) for name in list(named) if name in UNUSED_NAMES}
        new = base.replace(source, **named)
        object.__setattr__(self, "_settings", new)
        self._unused.update(unused)
        idle = sorted([*unused, *_without_effect(new, UNREAD_NAMES & named.keys())])
        if idle:
            warnings.warn(
                f"{source}: no effect here: {', '.join(idle)}",
                UnusedSettingWarning,
                stacklevel=4,
            )

    def update(
        self,
        values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        /,
        *,
        source_name: str = "app.conf",
        **more: Any,
    ) -> None:
        """Write several settings at once: all of them, or none when one is wrong.

        Args:
            values: Values by name, in any known spelling.
            source_name: How errors name the source.
            **more: More values by name.

        Raises:
            ConfigError: A name is unknown, or a value has the wrong type or range.
        """
        given = {**dict(values), **more}
        with self._lock:
            old = self.settings
            self._replace(old, given, source_name)
            new = self.settings
            used = dict(self._used)
        for name in filter(None, map(canonical, given)):
            if name in used and getattr(old, name) != getattr(new, name):
                warnings.warn(
                    f"{name} was changed too late: {used[name]} was made with the old value; "
                    "close the app, or write it before its first use",
                    LateSettingWarning,
                    stacklevel=3,
                )

    def mark_used(self, names: Iterable[str], by: str) -> None:
        """Note that something was made from these settings, so that later changes warn.

        Args:
            names: Settings that were read.
            by: What was made, in words: `the broker connection`.
        """
        with self._lock:
            self._used.update(dict.fromkeys(names, by))

    def unmark_used(self, by: str) -> None:
        """Forget a `mark_used`: what was made is closed, and will be made anew."""
        with self._lock:
            for name in [name for name, maker in self._used.items() if maker == by]:
                del self._used[name]

    def _read(self, name: str) -> Any:
        known = canonical(name)
        if known is None:
            raise unknown_name(name, FIELD_NAMES, "app.conf")
        if known in UNUSED_NAMES:
            self.settings  # noqa: B018 - loads, so that what the sources hold is known
            return self._unused.get(known)
        return getattr(self.settings, known)

    def __getattr__(self, name: str) -> Any:
        """Read a setting; a name that is none is an `AttributeError` that suggests the nearest."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name in FIELD_NAMES:
            return getattr(self.settings, name)
        if canonical(name) is None:
            raise AttributeError(str(unknown_name(name, FIELD_NAMES, "app.conf")))
        return self._read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Write one setting."""
        self.update({name: value})

    def __getitem__(self, name: str) -> Any:
        """Read a setting; a name that is none is a `KeyError` that suggests the nearest."""
        if canonical(name) is None:
            raise KeyError(str(unknown_name(name, FIELD_NAMES, "app.conf")))
        return self._read(name)

    def __setitem__(self, name: str, value: Any) -> None:
        """Write one setting."""
        self.update({name: value})

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a setting, in any known spelling."""
        return isinstance(name, str) and canonical(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Walk the names of all settings."""
        return iter(FIELD_NAMES)

    def __len__(self) -> int:
        """Count the settings."""
        return len(FIELD_NAMES)

    def get(self, name: str, default: Any = None) -> Any:
        """Read a setting, or return `default` when there is none of that name."""
        return self._read(name) if name in self else default

    def keys(self) -> tuple[str, ...]:
        """Return the names of all settings."""
        return FIELD_NAMES

    def values(self) -> list[Any]:
        """Return all values, in the order of `keys`."""
        return list(self.settings.table().values())

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values."""
        return list(self.settings.table().items())

    def setdefault(self, name: str, default: Any) -> Any:
        """Write a setting that still has its default; returns the value it then has."""
        known = canonical(name)
        if known in FIELD_NAMES and getattr(self.settings, known) == getattr(DEFAULTS, known):
            self.update({known: default})
        return self._read(name)

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return settings by name, for replies and reports.

        Args:
            with_defaults: Also those that have their default.
            censored: Passwords, keys and passwords within addresses are masked.
        """
        found = {
            name: value
            for name, value in self.settings.table().items()
            if with_defaults or value != getattr(DEFAULTS, name)
        }
        found.update(self._unused)
        if censored:
            return {name: _censor(name, value) for name, value in found.items()}
        return found

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return `name: value` lines."""
        rows = self.table(with_defaults, censored).items()
        return "\n".join(f"{name}: {value!r}" for name, value in rows)

    def __repr__(self) -> str:
        """Show what differs from the defaults, secrets masked."""
        return f"Conf({self.table() if self.loaded else 'not loaded'})"


def _without_effect(settings: Settings, names: Iterable[str]) -> list[str]:
    """Choose the names whose values ask for something other than what tq does anyway."""
    return [name for name in names if getattr(settings, name) != getattr(DEFAULTS, name)]


def _censor(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _censor(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_censor(name, item) for item in value]
    if isinstance(value, str | bytes) and any(word in name.lower() for word in _SECRET):
        return "********"
    return mask_password(value) if isinstance(value, str) else value


def mask_password(url: str) -> str:
    """Return an address with its password replaced by `**`; other text comes back as it is."""
    scheme, separator, rest = url.partition("://")
    # The last @ ends the login, so that a password with an unescaped @ or / is masked whole.
    login, at, host = rest.rpartition("@")
    if not separator or not at or ":" not in login:
        return url
    return f"{scheme}://{login.partition(':')[0]}:**@{host}"
