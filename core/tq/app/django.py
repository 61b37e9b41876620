"""Tasks in a Django project: its start-up, its database connections, calls after a commit.

Source: celery/fixups/django.py; celery/contrib/django/task.py.
"""

import importlib
import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from tq import signals
from tq.errors import ConfigError

__all__ = ["call_after_commit", "installed_packages", "prepare_worker"]

_log = logging.getLogger(__name__)


def is_project() -> bool:
    """Tell whether this process belongs to a Django project; a variable alone makes none."""
    return bool(os.environ.get("DJANGO_SETTINGS_MODULE")) and find_spec("django") is not None


def installed_packages() -> list[str]:
    """Return the packages of the project's installed apps; none outside a project."""
    return [config.name for config in _set_up().get_app_configs()] if is_project() else []


def prepare_worker() -> None:
    """Set the project up, and keep connections apart: children share none, tasks drop stale ones.

    Raises:
        ConfigError: The project's settings or apps do not load.
    """
    if not is_project():
        if os.environ.get("DJANGO_SETTINGS_MODULE"):
            _log.warning("DJANGO_SETTINGS_MODULE is set, but Django is not installed")
        return
    _set_up()
    for signal, receiver in (
        (signals.worker_before_create_process, _close_all),
        (signals.task_prerun, _close_old),
        (signals.task_postrun, _close_old),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"tq.django.{signal.name}")


def call_after_commit(call: Callable[[], Any], using: str | None = None) -> None:
    """Run `call` when the transaction in progress is committed, at once outside transactions.

    Raises:
        ConfigError: Django is not installed.
    """
    _import("django.db.transaction").on_commit(call, using=using)


def _set_up() -> Any:
    """Return the registry of the project's apps, filled."""
    apps = _import("django.apps").apps
    if not apps.ready:
        try:
            _import("django").setup()
        except Exception as exc:  # the project's own settings and apps
            project = os.environ.get("DJANGO_SETTINGS_MODULE")
            raise ConfigError(
                f"the Django project {project} does not start: {type(exc).__name__}: {exc}"
            ) from exc
    return apps


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise ConfigError(f"this needs a Django project: {exc}") from exc


def _close_all(**named: Any) -> None:
    # Two processes that write to one socket mix their queries.
    _import("django.db").connections.close_all()


def _close_old(**named: Any) -> None:
    _import("django.db").close_old_connections()
