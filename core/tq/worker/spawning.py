"""An application for a process that was not forked: what it is told, and what it imports again.

Source: SETTINGS (worker_pool_start_method).
"""

from typing import Any

import msgspec

from tq.app.current import known_apps
from tq.app.modules import import_modules
from tq.config import DEFAULTS
from tq.errors import ConfigError

__all__ = ["AppParcel", "pack_app", "unpack_app"]


class AppParcel(msgspec.Struct, frozen=True):
    """What another process needs to have the same application.

    Attributes:
        main: The application's name.
        modules: Those that define its tasks.
        names: Of its tasks, to tell it from others of these modules.
        settings: Those that differ from the defaults.
    """

    main: str | None
    modules: tuple[str, ...]
    names: frozenset[str]
    settings: dict[str, Any]


def pack_app(app: Any) -> AppParcel:
    """Describe an application.

    Raises:
        ConfigError: A task is defined in the program itself, which nobody else can import.
    """
    modules = {name: _module(task) for name, task in app.tasks.items()}
    own = {name: module for name, module in modules.items() if not module.startswith("tq.")}
    for name, module in own.items():
        if module == "__main__":
            raise ConfigError(
                f"task {name!r} is defined in __main__: pool processes that are spawned can only "
                "import modules"
            )
    changed = {
        name: value
        for name, value in app.conf.settings.table().items()
        if value != getattr(DEFAULTS, name)
    }
    return AppParcel(app.main, tuple(sorted(set(own.values()))), frozenset(own), changed)


def _module(task: Any) -> str:
    return str(type(task).__module__)


def unpack_app(parcel: AppParcel) -> Any:
    """Import an application's modules here, and return it with its settings.

    Raises:
        ConfigError: A module does not import, or none of them makes the application.
    """
    import_modules(parcel.modules)
    apps = [app for app in known_apps() if app.main == parcel.main]
    if not apps:
        raise ConfigError(
            f"no application {parcel.main!r} is made by importing {', '.join(parcel.modules)}"
        )
    app: Any = max(apps, key=lambda one: len(parcel.names & one.tasks.keys()))
    app.conf.update(parcel.settings)
    app.set_current()
    return app
