"""How commands print: tables for people, tab-separated text, JSON, JSON lines and CSV for programs.

stdout carries data only; notes go to stderr. Nothing that came from a worker reaches the terminal
with control bytes in it.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from tq.saferepr import safe_text

__all__ = ["FORMATS", "Printer", "note", "output_options", "wants_color", "worker_output_options"]

FORMATS = ("table", "plain", "json", "jsonl", "csv")
_CELERY = "celery"

# Columns of seconds, which a table shows with their unit.
_DURATIONS = frozenset({"age", "runtime", "waited", "silence", "uptime", "heartbeat"})
_STYLES = {
    "SUCCESS": "green", "up": "green", "ok": "green",
    "FAILURE": "red", "ORPHAN": "red", "lost": "red", "error": "red",
    "RETRY": "yellow", "STALE": "yellow", "busy-silent": "yellow", "no-events": "yellow",
    "warning": "yellow", "STARTED": "cyan", "active": "cyan", "RECEIVED": "blue",
    "REVOKED": "magenta", "REJECTED": "magenta", "gone": "bright_black",
}  # fmt: skip
_STYLED = frozenset({"state", "status", "level"})


def wants_color(choice: str, no_color: bool, stream: Any = None) -> bool:
    """Decide on colour: flag, then environment, then whether the stream is a terminal."""
    if no_color or choice == "never":
        return False
    if choice == "always":
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    return bool((stream or sys.stdout).isatty())


def output_options(function: Any) -> Any:
    """Add `-o` and `-j`."""
    return _output_options(function, FORMATS)


def worker_output_options(function: Any) -> Any:
    """Add `-o` and `-j` to a command that asks workers: Celery's own text is a form too."""
    return _output_options(function, (*FORMATS, _CELERY))


def _output_options(function: Any, forms: Sequence[str]) -> Any:
    function = click.option("-j", "--json", "as_json", is_flag=True, help="Same as -o json.")(
        function
    )
    return click.option(
        "-o",
        "--output",
        type=click.Choice(forms),
        default=None,
        help="Form of the output; a table on a terminal, tab-separated lines in a pipe.",
    )(function)


def note(text: str, quiet: bool = False) -> None:
    """Say something that is not data, on stderr."""
    if not quiet:
        click.echo(safe_text(text, single_line=False), err=True)


class Printer:
    """Prints rows or values in the form that was asked for."""

    def __init__(self, output: str | None, as_json: bool = False, *, color: bool = False) -> None:
        """Choose the form: `-j`, `-o`, or what suits where stdout leads; colour is for tables."""
        default = "table" if sys.stdout.isatty() else "plain"
        self.form = "json" if as_json else (output or default)
        self._color = color

    def rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Print rows of named values; the machine forms carry every key, the others `columns`."""
        match self.form:
            case "json":
                self.value(list(rows))
            case "jsonl":
                for row in rows:
                    self.line(row)
            case "csv":
                self._csv(columns, rows)
            case "plain":
                for row in rows:
                    click.echo("\t".join(cell(row.get(name)) for name in columns))
            case _:
                self._table(
                    columns, [[_shown(name, row.get(name)) for name in columns] for row in rows]
                )

    def value(self, value: Any) -> None:
        """Print one value as JSON, indented for people."""
        indent = 2 if sys.stdout.isatty() else None
        click.echo(json.dumps(value, indent=indent, default=str))

    def line(self, value: Any) -> None:
        """Print one value as a line of JSON."""
        click.echo(json.dumps(value, default=str, separators=(",", ":")))

    def _csv(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([cell(row.get(name)) for name in columns])
        click.echo(text.getvalue(), nl=False)

    def _table(self, columns: Sequence[str], rows: list[list[str]]) -> None:
        heads = [name.upper() for name in columns]
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        for number, row in enumerate([heads, *rows]):
            last = len(row) - 1
            padded = [
                text if at == last else text.ljust(width)
                for at, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            if self._color:
                padded = [
                    _colored(name, text, head=number == 0)
                    for name, text in zip(columns, padded, strict=True)
                ]
            click.echo("  ".join(padded).rstrip(), color=self._color)


def _shown(name: str, value: Any) -> str:
    """Return a value as a table shows it."""
    if name in _DURATIONS and isinstance(value, int | float):
        return _seconds(value)
    return cell(value)


def _seconds(value: float) -> str:
    if value < 100:
        return f"{value:.2f}s" if value < 10 else f"{value:.1f}s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"


def _colored(name: str, text: str, *, head: bool) -> str:
    if head:
        return click.style(text, bold=True)
    style = _STYLES.get(text.strip()) if name in _STYLED else None
    return click.style(text, fg=style) if style else text


def cell(value: Any) -> str:
    """Return one value as a single line of safe text; what is not known is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    return safe_text(json.dumps(value, default=str))
