"""What every test shares: nothing leaks from the user's environment into a test."""

import os
import signal

import pytest

_LEAKS = ("TQ_", "CELERY_", "NO_COLOR", "FORCE_COLOR", "CLICOLOR")


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted, also when the run is a background job."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
