"""Every option of Celery's command line is taken by tq's, or left out on purpose and said so.

`tests/fixtures/cli/options.json` lists Celery 5.7's commands with their options: the names of each,
and how many values follow.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import celery
import click
import pytest
from celery.bin.celery import celery as celery_command
from click.testing import CliRunner

from tqconsole.cli import omissions
from tqconsole.cli.main import cli, run

LISTED = json.loads((Path(__file__).parents[1] / "fixtures/cli/options.json").read_text())
CASES = [
    (path, names, values)
    for path, options in LISTED.items()
    for names, values in options
    if path.partition(" ")[0] not in omissions.COMMANDS
]


def options_of(command: click.Command) -> list[tuple[list[str], int]]:
    found = []
    for param in command.params:
        if isinstance(param, click.Option) and param.name != "help":
            names = sorted({*param.opts, *param.secondary_opts})
            found.append((names, 0 if param.is_flag or param.count else param.nargs))
    return sorted(found)


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from walk(inner, (*path, name))


OURS = dict(walk(cli))


@pytest.mark.skipif(not celery.__version__.startswith("5.7."), reason="the list is of Celery 5.7")
def test_the_list_is_celerys_own() -> None:
    theirs = {
        path: [[names, values] for names, values in options_of(command)]
        for path, command in walk(celery_command)
        if path.partition(" ")[0] != "flower"
    }
    assert theirs == LISTED


@pytest.mark.parametrize("name", sorted({path.partition(" ")[0] for path in LISTED} - {""}))
def test_a_command_is_there_or_says_what_to_use_instead(name: str, capsys) -> None:
    if name in omissions.COMMANDS:
        assert name not in OURS
        assert run([name]) == 2
        assert omissions.COMMANDS[name] in capsys.readouterr().err
    else:
        done = CliRunner().invoke(OURS[name], ["--help"])
        assert done.exit_code == 0
        assert done.output.startswith("Usage")


@pytest.mark.parametrize(("path", "names", "values"), CASES, ids=lambda value: str(value))
def test_an_option_is_taken_or_says_why_not(path: str, names, values: int, capsys) -> None:
    command = path.partition(" ")[0]
    taken = {name: count for some, count in options_of(OURS[command]) for name in some}
    for name in names:
        reason = omissions.reason_for(command, name)
        if reason is None:
            assert taken.get(name) == values, f"{path} {name}"
        else:
            assert name not in taken, f"{path} {name} is taken: it is no omission"
            assert run([*path.split(), name]) == 2
            assert reason in capsys.readouterr().err


def test_no_omission_is_of_something_celery_has_not() -> None:
    assert {*omissions.COMMANDS} - {"flower"} <= {path.partition(" ")[0] for path in LISTED}
    for command, options in omissions.OPTIONS.items():
        theirs = {name for names, _ in LISTED[command] for name in names}
        assert set(options) <= theirs, command
