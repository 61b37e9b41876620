"""Options that an application adds to every command: `app.user_options["preload"]`.

Source: celery/bin/celery.py (`celery`), celery/bin/base.py (`handle_preload_options`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tq import signals

if TYPE_CHECKING:
    from tq import TQ

__all__ = ["add_user_options"]


def add_user_options(command: click.Command, app: "TQ") -> Callable[[], None]:
    """Let a command take the application's options, and tell receivers of the signal their values.

    Args:
        command: Changed in place; it is about to be parsed.
        app: Its `user_options["preload"]` holds `click.Option`s.

    Returns:
        A function that makes the command what it was, for the next line in the same process.
    """
    options = list(app.user_options.get("preload", ()))
    params, callback = command.params, command.callback
    if not options or callback is None:
        return lambda: None
    names = [option.name for option in options]

    def call(*args: Any, **given: Any) -> Any:
        values = {name: given.pop(name) for name in names if name in given}
        signals.user_preload_options.send(sender=callback, app=app, options=values)
        return callback(*args, **given)

    command.params, command.callback = [*params, *options], call

    def restore() -> None:
        command.params, command.callback = params, callback

    return restore
