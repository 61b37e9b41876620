"""How an application gets its settings: chosen before first use, changed afterwards.

Source: celery/app/base.py, `config_from_object`, `config_from_envvar`, `add_defaults`.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from tq.app.sources import Sources
from tq.config import Conf
from tq.errors import ConfigError

__all__ = ["Configuration"]


class Configuration:
    """The sources of one application's settings, and the settings once they are loaded.

    Attributes:
        conf: The settings; reading the first one loads them.
    """

    def __init__(
        self, given: Mapping[str, Any], namespace: str | None, before_load: Callable[[], None]
    ) -> None:
        """Keep what the constructor of the application was given.

        Args:
            given: Settings by name.
            namespace: Prefix of the names in configuration objects that give none.
            before_load: Called once, before the sources are read.
        """
        self._sources = Sources(given)
        self._namespace = namespace
        self._before_load = before_load
        self.conf = Conf(self._load)

    def _load(self) -> Mapping[str, Any]:
        self._before_load()
        return self._sources.load()

    def use(self, obj: Any, silent: bool, namespace: str | None = None) -> None:
        """Choose the configuration object; read now when others were read already."""
        self._sources.set(obj, namespace or self._namespace, silent)
        if self.conf.loaded:
            self.conf.update(self._sources.load(), source_name="configuration")

    def use_variable(self, name: str, silent: bool) -> None:
        """Choose the module that an environment variable names.

        Raises:
            ConfigError: It is not set, and `silent` is False.
        """
        module = os.environ.get(name)
        if module:
            self.use(module, silent)
        elif not silent:
            raise ConfigError(f"the environment variable {name} is not set")

    def load(self) -> None:
        """Read the sources now, unless they were."""
        self.conf.settings  # noqa: B018 - loads

    def add_defaults(self, values: Mapping[str, Any]) -> None:
        """Give settings other defaults."""
        self._sources.add_defaults(values)
        if self.conf.loaded:
            for name, value in values.items():
                self.conf.setdefault(name, value)

    def add_entry(self, key: str, entry: Mapping[str, Any]) -> None:
        """Add an entry to `beat_schedule`, whatever else that will hold."""
        if self.conf.loaded:
            self.conf.update(beat_schedule={**self.conf.settings.beat_schedule, key: entry})
        else:
            self._sources.add_schedule(key, entry)
