"""What every test shares: nothing leaks from the user's environment into a test."""

import os

import pytest

_LEAKS = ("TQ_", "CELERY_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_LEAKS):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the chaos suite to `make chaos`, which asks for it by its marker."""
    if "chaos" in (config.getoption("-m") or ""):
        return
    skip = pytest.mark.skip(reason="run by `make chaos`")
    for item in items:
        if item.get_closest_marker("chaos"):
            item.add_marker(skip)
