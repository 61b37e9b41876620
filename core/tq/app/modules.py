"""Importing the modules that define tasks: imports, include, autodiscovery.

Source: celery/loaders/base.py (`autodiscover_tasks`, `find_related_module`).
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from types import ModuleType

from tq.app import django
from tq.errors import ConfigError

__all__ = ["Discovery", "import_modules", "import_related"]

Packages = Iterable[str] | Callable[[], Iterable[str]] | None


class Discovery:
    """The packages of one application whose task modules are still to be imported."""

    def __init__(self) -> None:
        """Start with none."""
        self._waiting: list[tuple[Packages, str | None]] = []

    def later(self, packages: Packages, related_name: str | None) -> None:
        """Import them with the next `import_all`; arguments as for `import_related`."""
        self._waiting.append((packages, related_name))

    def import_all(self, names: Iterable[str]) -> list[ModuleType]:
        """Import modules by name, then those that wait.

        Raises:
            ConfigError: One is missing or raises.
        """
        add_project_folder()
        django.prepare_worker()
        found = import_modules(names)
        while self._waiting:
            found += import_related(*self._waiting.pop(0))
        return found


def import_modules(names: Iterable[str]) -> list[ModuleType]:
    """Import modules by name.

    Raises:
        ConfigError: One is missing or raises.
    """
    add_project_folder()
    return [_import(name) for name in names]


def add_project_folder() -> None:
    """Make a project's own folder importable without being installed, as with `python -m`."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as exc:  # a user's module
        raise ConfigError(
            f"module {name!r} does not import: {type(exc).__name__}: {exc}", module=name
        ) from exc


def import_related(packages: Packages, related_name: str | None) -> list[ModuleType]:
    """Import `related_name` of each package that has it, or the packages themselves.

    Args:
        packages: Names, a function that returns them, or None for Django's installed apps.
        related_name: Such as `tasks`.

    Raises:
        ConfigError: A package is missing, or a module raises.
    """
    if packages is None:
        names: Iterable[str] = django.installed_packages()
    else:
        names = packages() if callable(packages) else packages
    found = [_related(name, related_name) for name in names]
    return [module for module in found if module is not None]


def _related(package: str, related_name: str | None) -> ModuleType | None:
    if not related_name:
        return _import(package)
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as exc:
        # Django names an app by its configuration class: proj.apps.ProjConfig.
        parent = package.rpartition(".")[0]
        if exc.name != package or not parent:
            raise ConfigError(f"package {package!r} does not import: {exc}") from exc
        return _related(parent.removesuffix(".apps"), related_name)
    except Exception as exc:  # a user's package
        raise ConfigError(f"package {package!r} raised {type(exc).__name__}: {exc}") from exc
    full = f"{package}.{related_name}"
    if not hasattr(sys.modules[package], "__path__") or find_spec(full) is None:
        return None
    return _import(full)
