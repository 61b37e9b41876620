"""Options that several commands share, and the application they lead to."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tq.errors import ConfigError

if TYPE_CHECKING:
    from tq import TQ

__all__ = [
    "LEVELS",
    "Globals",
    "app_options",
    "global_options",
    "load_app",
    "some_names",
    "split_names",
]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(kw_only=True)
class Globals:
    """The options that stand before the command, or behind it.

    Attributes:
        app: `-A`: module, `module:attribute` or package.
        broker: `-b`: URL; None leaves it to the app's settings, the environment, the embedded one.
        color: `auto`, `always` or `never`.
        verbose: Say more on stderr: how long answers took.
    """

    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    config: str | None = None
    workdir: str | None = None
    color: str = "auto"
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    read_only: bool = False

    @property
    def wants_color(self) -> bool:
        """Whether tables are coloured."""
        from tqconsole.cli.output import wants_color  # `tq --help` prints no tables

        return wants_color(self.color, self.no_color)

    def merged(self, later: dict[str, Any]) -> "Globals":
        """Return these options with those given behind the command in front of them."""
        values = {name: value for name, value in later.items() if value not in (None, False)}
        return Globals(**{**self.__dict__, **values})


_SHARED = [
    click.option("-A", "--app", metavar="APP", help="Application: module, module:attr or package."),
    click.option("-b", "--broker", metavar="URL", help="Broker URL."),
    click.option("--result-backend", metavar="URL", help="Result backend URL."),
    click.option("--config", metavar="MODULE", help="Module with settings."),
    click.option("-C", "--no-color", is_flag=True, help="No colour."),
    click.option("-q", "--quiet", is_flag=True, help="Data only: no notes on stderr."),
    click.option("-v", "--verbose", is_flag=True, help="Say how long answers took, on stderr."),
]
_GLOBAL = [
    *_SHARED,
    click.option(
        "--workdir", type=click.Path(file_okay=False), help="Change to this folder first."
    ),
    click.option(
        "--skip-checks",
        is_flag=True,
        envvar="SKIP_CHECKS",
        expose_value=False,
        help="Accepted as in Celery; tq runs no Django checks.",
    ),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="When to use colour.",
    ),
    click.option(
        "--read-only",
        is_flag=True,
        envvar="TQ_READ_ONLY",
        help="Refuse whatever changes the cluster.",
    ),
]
_SHARED_NAMES = ("app", "broker", "result_backend", "config", "no_color", "quiet", "verbose")


def _apply(options: Sequence[Callable[[Any], Any]], function: Any) -> Any:
    for option in reversed(options):
        function = option(function)
    return function


def global_options(function: F) -> F:
    """Add the options that stand before the command."""
    wrapped: F = _apply(_GLOBAL, function)
    return wrapped


def app_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take the shared options behind the command too, and pass the command a `Globals` first."""

    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: Any, **options: Any) -> Any:
        later = {name: options.pop(name) for name in _SHARED_NAMES}
        before = ctx.find_object(Globals) or Globals()
        return function(before.merged(later), *args, **options)

    decorated: Callable[..., Any] = _apply(_SHARED, wrapped)
    return decorated


def load_app(given: Globals, *, required: bool = False) -> "TQ":
    """Return the application named by `-A`, or one made from the URLs alone.

    Args:
        given: The command line's options; `broker` and `result_backend` win over the app's own.
        required: Whether the command needs the project's tasks.

    Raises:
        ConfigError: `-A` is missing where it is required, or leads nowhere.
    """
    from tq import TQ  # deferred: `tq --help` needs no application
    from tq.app import find_app

    if given.app:
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        app: TQ = find_app(given.app)
    elif required:
        raise ConfigError("which application? Give -A module, -A module:attribute or -A package")
    else:
        app = TQ("tq", set_as_current=True)
    if given.config:
        app.config_from_object(given.config)
    if given.broker:
        app.conf.broker_url = given.broker
    if given.result_backend:
        app.conf.result_backend = given.result_backend
    return app


def some_names(
    _ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse a list of names without any: what is meant for some must not reach all.

    An unset variable in a script is enough for that: `tq purge -f -Q "$QUEUES"`.

    Raises:
        BadParameter: There is no name in it.
    """
    if values and not split_names(values):
        raise click.BadParameter("there is no name in it", param=param)
    return values


def split_names(values: tuple[str, ...]) -> list[str]:
    """Split repeatable comma lists (`-d a,b -d c`) into names."""
    return [name for value in values for part in value.split(",") if (name := part.strip())]
