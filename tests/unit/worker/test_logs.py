"""Lines look like Celery's, and each process writes where it was told to."""

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tq import logs
from tq.errors import ConfigError


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, tasks = logging.getLogger(), logging.getLogger(logs.TASK_LOGGER)
    before = [(one, list(one.handlers), one.level, one.propagate) for one in (root, tasks)]
    yield
    logging.captureWarnings(False)
    logs.set_task_source(lambda: None)
    for logger, handlers, level, propagate in before:
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


def test_lines_have_celerys_form_and_those_of_tasks_their_name() -> None:
    stream = io.StringIO()
    logs.setup(logs.LogOptions("INFO", stream))
    logs.set_task_source(lambda: ("proj.add", "id-1"))
    logging.getLogger("proj").info("ordinary")
    logs.get_task_logger("proj.tasks").warning("of a task")
    logs.get_task_logger("proj.tasks").debug("too quiet")
    first, second = stream.getvalue().splitlines()
    stamp = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: "
    assert re.fullmatch(stamp + r"INFO/MainProcess\] ordinary", first)
    assert re.fullmatch(stamp + r"WARNING/MainProcess\] proj\.add\[id-1\]: of a task", second)


def test_a_file_name_with_a_code_is_one_per_process(tmp_path: Path) -> None:
    options = logs.LogOptions("INFO", str(tmp_path / "%n%I.log"), node="w1@host")
    assert options.per_child()
    logs.setup(options)
    logging.getLogger("x").info("parent")
    logs.reopen(options, 2)
    logging.getLogger("x").info("child")
    assert "parent" in (tmp_path / "w1.log").read_text()
    assert "child" in (tmp_path / "w1-2.log").read_text()
    assert "child" not in (tmp_path / "w1.log").read_text()


def test_no_colour_reaches_a_file_or_one_who_does_not_want_it() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    for stream, colour in ((plain, False), (coloured, True)):
        logs.setup(logs.LogOptions("INFO", stream, colour=colour))
        logging.getLogger("x").error("text")
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in coloured.getvalue()


def test_a_record_that_cannot_be_formatted_is_told_of() -> None:
    stream = io.StringIO()
    logs.setup(logs.LogOptions("INFO", stream))
    logging.getLogger("x").info("%d", "not a number")
    assert "unreadable" in stream.getvalue()


@pytest.mark.parametrize("level", ["LOUD", "", "1"])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(ConfigError, match="log level"):
        logs.level_number(level)
