"""Choosing among rows."""

import click
import pytest

from tqconsole.cli.select import Choice, read_filter, task_of
from tqconsole.tui.model.task_fields import Context

ROWS = [{"name": "b", "n": 2}, {"name": "a", "n": None}, {"name": "c", "n": 10}]


def test_sorting_puts_numbers_in_order_and_the_unknown_last():
    names = [row["name"] for row in Choice(sort="n").arranged(ROWS, ())]
    assert names == ["b", "c", "a"]
    assert [r["name"] for r in Choice(sort="-name", limit=2).arranged(ROWS, ())] == ["c", "b"]


def test_fields_project_in_the_order_given():
    assert Choice(fields="n, name", limit=1).arranged(ROWS, ()) == [{"n": 2, "name": "b"}]


@pytest.mark.parametrize("choice", [Choice(sort="nam"), Choice(fields="name,nam")])
def test_an_unknown_field_is_a_usage_error_that_lists_the_known(choice):
    with pytest.raises(click.UsageError, match="there is no field 'nam'; there are: n, name"):
        choice.arranged(ROWS, ())


def test_a_wrong_filter_names_option_and_column():
    expected = r"--where: no field is called 'foo'.*\(column 10 of 'name:bar foo:1'\)"
    with pytest.raises(click.UsageError, match=expected):
        read_filter("name:bar foo:1")


def test_rows_of_replies_are_filtered_as_tasks():
    test = read_filter("state:started name:peer.* worker:w1*").test
    row = {"worker": "w1@a", "id": "1", "name": "peer.add", "time_start": 1.0}
    assert test(task_of(row), Context(2.0))
    assert not test(task_of({**row, "time_start": None}), Context(2.0))
