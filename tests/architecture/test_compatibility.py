"""The table of Celery's names is complete, true, and the one that its script writes."""

import re

import pytest

from tests.support.processes import ROOT
from tools.compatibility import celery_names
from tools.compatibility.page import Verdict, page, problems, sections
from tools.compatibility.verdicts import SECTIONS
from tq.config.aliases import UNREAD_NAMES, UNUSED_NAMES

TABLE = ROOT / "core" / "docs" / "compatibility.md"
ALL_NAMES = {
    "Task options": celery_names.task_options(),
    "Options of apply_async": celery_names.call_options(),
    "Settings": list(celery_names.settings()),
    "Worker options": list(celery_names.worker_options()),
    "Signals": list(celery_names.signal_names()),
}


def committed() -> dict[str, set[str]]:
    """The names of each section of the file."""
    parts = re.split(r"^## ", TABLE.read_text(), flags=re.MULTILINE)
    return {
        part.partition("\n")[0]: set(re.findall(r"^\| `([^`]+)` \|", part, flags=re.MULTILINE))
        for part in parts[1:]
    }


def test_the_file_is_what_the_script_writes() -> None:
    assert TABLE.read_text() == page(), "run `make docs`"


@pytest.mark.parametrize("section", SECTIONS)
def test_no_name_of_the_installed_celery_is_missing(section: str) -> None:
    assert ALL_NAMES[section]
    assert set(ALL_NAMES[section]) == committed()[section]


def test_every_name_works_or_says_why_not() -> None:
    assert problems() == []
    for rows in sections().values():
        assert not [row.name for row in rows if row.verdict is not Verdict.WORKS and not row.why]


def test_what_works_has_an_effect_in_the_code() -> None:
    works = [row for rows in sections().values() for row in rows if row.verdict is Verdict.WORKS]
    assert len(works) > 150
    assert [row.name for row in works if not row.effective] == []


def test_a_setting_without_effect_is_one_that_warns() -> None:
    rows = {row.name: row for row in sections()["Settings"]}
    for name in (UNUSED_NAMES | UNREAD_NAMES) & rows.keys():
        assert rows[name].verdict is Verdict.NOT_PROVIDED
        assert not rows[name].effective, f"{name} is read now: it should no longer warn"
