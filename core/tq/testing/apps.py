"""Applications whose broker and results live in the test's own process.

Source: celery/contrib/testing/app.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tq.app import TQ
from tq.app.current import chosen_app, set_current_app
from tq.brokers import memory
from tq.wire.ids import new_id

__all__ = ["isolate", "temporary_app"]

# Whatever else may say where messages and results go.
_ADDRESSES = {"broker_read_url": None, "broker_write_url": None, "result_backend": None}


@contextmanager
def isolate(app: TQ, **settings: Any) -> Iterator[TQ]:
    """Give an application a broker and results in memory, of their own, for a block.

    Args:
        app: Any application, such as your project's; its connections are closed before and after.
        **settings: More settings for the block, such as `task_always_eager=True`; a `broker_url`
            given here is used instead of memory, and a `result_backend` likewise.

    Yields:
        The application, which is the current one inside.

    Raises:
        ConfigError: A setting is unknown or wrong; nothing was changed.
    """
    name = f"test-{new_id()}"
    given = {"broker_url": f"memory://{name}", **_ADDRESSES, **settings}
    before = {key: app.conf[key] for key in given}
    app.disconnect()
    app.conf.update(given)
    try:
        with _current(app):
            yield app
    finally:
        app.disconnect()
        app.conf.update(before)
        memory.reset(name)


@contextmanager
def temporary_app(parameters: Mapping[str, Any] | None = None, /, **settings: Any) -> Iterator[TQ]:
    """Make an application for a block; in memory unless its parameters name a broker.

    Args:
        parameters: Of `TQ`, such as `{"task_cls": MyTask, "broker": "redis://localhost"}`.
        **settings: Its settings.

    Yields:
        The application, which is the current one inside. It is closed afterwards.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    name = f"test-{new_id()}"
    chosen = {"main": "tests", **(parameters or {}), "set_as_current": False}
    changes = {"broker_url": f"memory://{name}", **chosen.pop("changes", {}), **settings}
    app = TQ(changes=changes, **chosen)
    try:
        app.conf.settings  # noqa: B018 - loads, so that a wrong setting is found here
        with _current(app):
            yield app
    finally:
        app.close()
        memory.reset(name)


@contextmanager
def _current(app: TQ) -> Iterator[None]:
    """Make an application the current one, as shared tasks and bare signatures see it."""
    before = chosen_app()
    app.set_current()
    try:
        yield
    finally:
        set_current_app(before)
