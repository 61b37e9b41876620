"""Choosing among rows: `--where`, `--fields`, `--sort`, `--limit`, `--fail-empty`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from tq.monitor.task import TaskInfo
from tqconsole.cli import exits
from tqconsole.cli.output import Printer
from tqconsole.tui.model.filters import Filter, FilterError, parse

__all__ = ["Choice", "read_filter", "select_options", "task_of", "where_option"]

Row = dict[str, Any]

where_option = click.option(
    "--where", metavar="EXPR", help="Only what matches, in the console's filter language."
)


def select_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one `Choice` named `choice`."""

    def wrapped(*args: Any, **options: Any) -> Any:
        names = ("where", "since", "until", "fields", "sort", "limit", "fail_empty")
        choice = Choice(**{name: options.pop(name) for name in names})
        return function(*args, choice=choice, **options)

    # Not functools.wraps: click keeps the parameters it has seen so far in `__click_params__`.
    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    wrapped.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]  # click's own
    for option in (
        click.option("--fail-empty", is_flag=True, help="Exit with 4 when nothing matches."),
        click.option("--limit", type=click.IntRange(min=1), help="Most rows."),
        click.option("--sort", metavar="FIELD", help="Sort by this field; -FIELD for descending."),
        click.option("--fields", metavar="A,B", help="Only these fields, in this order."),
        click.option("--until", metavar="TIME", help="Only of tasks whose last news is older."),
        click.option(
            "--since", metavar="TIME", help="Only of tasks with news since: 14:05, -15m, ISO 8601."
        ),
        where_option,
    ):
        wrapped = option(wrapped)
    return wrapped


def read_filter(text: str | None, option: str = "--where") -> Filter:
    """Read a filter that was given with an option.

    Raises:
        UsageError: It cannot be read; the message says where.
    """
    try:
        return parse(text or "")
    except FilterError as error:
        place = f"column {error.column + 1} of {text!r}"
        raise click.UsageError(f"{option}: {error.reason} ({place})") from None


@dataclass(frozen=True)
class Choice:
    """What the user wants to see of some rows."""

    where: str | None = None
    since: str | None = None
    until: str | None = None
    fields: str | None = None
    sort: str | None = None
    limit: int | None = None
    fail_empty: bool = False

    @property
    def given(self) -> bool:
        """Whether rows are to be chosen at all."""
        return any((self.where, self.since, self.until, self.fields, self.sort, self.limit))

    @property
    def filter(self) -> Filter:
        """The filter; matches everything when none was given.

        Raises:
            UsageError: It cannot be read.
        """
        moments = [("since", self.since), ("until", self.until)]
        for option, text in moments:
            if text is not None:
                read_filter(f'{option}:"{text}"', f"--{option}")
        terms = [f"({self.where})"] if self.where else []
        read_filter(self.where)  # by itself, so that an error names its own column
        return read_filter(" ".join([*terms, *(f'{o}:"{t}"' for o, t in moments if t is not None)]))

    def arranged(self, rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
        """Return the rows sorted, cut to `--limit` and, with `--fields`, to these fields.

        Raises:
            UsageError: No row has such a field.
        """
        known = {*columns, *(name for row in rows for name in row)}
        found = list(rows)
        if self.sort:
            name = self.sort.lstrip("-+")
            _check("--sort", name, known)
            found.sort(key=lambda row: _order(row.get(name)), reverse=self.sort.startswith("-"))
        found = found[: self.limit]
        names = self.names
        if names:
            for name in names:
                _check("--fields", name, known)
            found = [{name: row.get(name) for name in names} for row in found]
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names in `--fields`."""
        return tuple(name for part in (self.fields or "").split(",") if (name := part.strip()))

    def show(self, printer: Printer, columns: Sequence[str], rows: Sequence[Row]) -> int:
        """Print the rows; returns the exit code."""
        chosen = self.arranged(rows, columns)
        if chosen or printer.form in ("json", "csv"):
            printer.rows(self.names or columns, chosen)
        return exits.NOTHING if self.fail_empty and not chosen else exits.OK


def _check(option: str, name: str, known: set[str]) -> None:
    if name not in known:
        listed = ", ".join(sorted(known))
        raise click.UsageError(f"{option}: there is no field {name!r}; there are: {listed}")


def _order(value: Any) -> tuple[int, float, str]:
    """Order numbers before texts, and what is not known last."""
    if value is None:
        return (2, 0.0, "")
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def task_of(row: Row) -> TaskInfo:
    """Show a row to the filter as the task it tells of, or as far as it resembles one."""
    names = ("name", "worker", "queue", "args", "kwargs")
    text: dict[str, Any] = {name: _text(row.get(name)) for name in names}
    began = row.get("time_start")
    return TaskInfo(
        uuid=str(row.get("id") or row.get("worker") or row.get("queue") or ""),
        state=str(row.get("state") or row.get("status") or ("STARTED" if began else "RECEIVED")),
        started=began if isinstance(began, int | float) else None,
        timestamp=began if isinstance(began, int | float) else None,
        result=_text(row.get("reply") or row.get("value") or row.get("task")),
        **text,
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
