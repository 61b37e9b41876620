"""Every case of Celery's canvas integration tests has a test here."""

import ast
from configparser import RawConfigParser
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
CASES_OF_CELERY = 171


@cache
def table() -> dict[str, str]:
    """Case -> our tests."""
    parser = RawConfigParser(delimiters=(":",))
    parser.optionxform = str  # names as they are
    parser.read(HERE / "celery_cases.txt")
    return {
        f"{section}.{case}": ours
        for section in parser.sections()
        for case, ours in parser[section].items()
    }


@cache
def names_in(module: str) -> set[str]:
    path = (TESTS if "/" in module else HERE) / f"{module}.py"
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_case_is_in_the_table():
    assert len(table()) == CASES_OF_CELERY


@pytest.mark.parametrize("case", table())
def test_case_has_a_test(case):
    tests = table()[case].split()
    assert tests
    for test in tests:
        module, _, name = test.partition("::")
        assert name in names_in(module)
