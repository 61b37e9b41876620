"""The sources of one application's settings, in the order in which they win.

Source: SETTINGS.md, "Sources of values"; celery/app/base.py, `_load_config`.
"""

from collections.abc import Mapping
from typing import Any

from tq.config.aliases import canonical
from tq.config.loading import load_environment, load_object, normalise
from tq.errors import ConfigError

__all__ = ["Sources"]


class Sources:
    """Defaults of the program, the configuration object, the constructor, the environment."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Keep what the constructor was given; it wins over the configuration object."""
        self._given = dict(given)
        self._defaults: dict[str, Any] = {}
        self._schedule: dict[str, Any] = {}
        self._object: Any = None
        self._namespace: str | None = None
        self._silent = False

    @staticmethod
    def split(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Part keyword arguments into settings and attributes of the application."""
        settings = {name: value for name, value in keywords.items() if canonical(name)}
        return settings, {name: v for name, v in keywords.items() if name not in settings}

    def set(self, obj: Any, namespace: str | None, silent: bool) -> None:
        """Choose the configuration object, in place of any before."""
        self._object, self._namespace, self._silent = obj, namespace, silent

    def add_defaults(self, values: Mapping[str, Any]) -> None:
        """Add defaults that every other source overrides."""
        self._defaults.update(values)

    def add_schedule(self, key: str, entry: Mapping[str, Any]) -> None:
        """Add an entry to whatever `beat_schedule` the sources hold."""
        self._schedule[key] = entry

    def load(self) -> dict[str, Any]:
        """Return the values, by today's names.

        Raises:
            ConfigError: A source is missing, or holds a name that is no setting.
        """
        values = normalise(self._defaults, "defaults")
        values.update(self._from_object())
        values.update(normalise(self._given, "TQ()"))
        values.update(load_environment())
        if self._schedule:
            values["beat_schedule"] = {**values.get("beat_schedule", {}), **self._schedule}
        return values

    def _from_object(self) -> dict[str, Any]:
        if self._object is None:
            return {}
        try:
            return load_object(self._object, self._namespace)
        except ConfigError as exc:
            if self._silent and isinstance(exc.__cause__, ImportError):
                return {}
            raise
