"""`tq call`."""

import difflib
import json
from datetime import datetime
from typing import Any

import click

from tq.errors import EncodeError
from tq.saferepr import safe_text
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import note

__all__ = ["command"]


class _Json(click.ParamType[Any]):
    """JSON of one type."""

    name = "JSON"

    def __init__(self, kind: type) -> None:
        """Remember what the text must hold."""
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Parse the text, or fail with one line."""
        if not isinstance(value, str):
            return value
        try:
            data = json.loads(value)
        except ValueError as exc:
            self.fail(f"not JSON: {exc}", param, ctx)
        if not isinstance(data, self.kind):
            what = "list" if self.kind is list else "object"
            self.fail(f"not a JSON {what}: {value}", param, ctx)
        return data


class _When(click.ParamType[Any]):
    """An ISO 8601 time, or seconds where `seconds` allows."""

    name = "TIME"

    def __init__(self, seconds: bool = False) -> None:
        """Say whether plain seconds are welcome."""
        self.seconds = seconds

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a datetime or a float."""
        if self.seconds:
            try:
                return float(value)
            except ValueError:
                pass
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 time", param, ctx)


@click.command("call", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.option("-a", "--args", "args", type=_Json(list), default="[]", help="Positional arguments.")
@click.option("-k", "--kwargs", "kwargs", type=_Json(dict), default="{}", help="Keyword arguments.")
@click.option("--eta", type=_When(), help="Earliest time to run, ISO 8601.")
@click.option("--countdown", type=float, help="Seconds from now to run.")
@click.option(
    "--expires", type=_When(seconds=True), help="Latest time to run: seconds or ISO 8601."
)
@click.option("--serializer", default=None, help="json, msgpack or yaml.")
@click.option("--queue", help="Queue to send to.")
@click.option("--exchange", help="Exchange to send to.")
@click.option("--routing-key", help="Routing key.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 to 9.")
@click.option("--task-id", help="Id to give the task.")
@app_options
def command(
    given: Globals, name: str, args: list[Any], kwargs: dict[str, Any], **options: Any
) -> None:
    """Send the task NAME and print its id."""
    app = load_app(given)
    if given.app and name not in app.tasks:
        near = difflib.get_close_matches(name, list(app.tasks), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        # Sent all the same: another program's workers may know it.
        note(f"{given.app} has no task {safe_text(name)!r}{hint}", given.quiet)
    chosen = {key: value for key, value in options.items() if value is not None}
    try:
        sent = app.send_task(name, args=args, kwargs=kwargs, **chosen)
    except EncodeError as error:  # as when no serializer has that name
        raise click.UsageError(str(error)) from None
    click.echo(sent.id)
