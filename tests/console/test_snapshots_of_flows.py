"""Schedules, Flows and Events as pictures: the same on every machine."""

from collections.abc import Callable

import pytest

from tests.console.synthetic import SyntheticSource
from tests.console.test_events_screen import small
from tests.console.test_flows_screen import flows
from tests.console.test_schedules_screen import scheduled
from tests.console.test_snapshots import check, keys
from tqconsole.tui.config import ConsoleConfig

pytestmark = pytest.mark.timeout(120)

SIZES = [(40, 10), (80, 24), (120, 36), (160, 48)]
SCREENS: list[tuple[str, Callable[[], SyntheticSource], tuple[str, ...]]] = [
    ("schedules", scheduled, ("tab", "j")),
    ("flows", flows, ("j",)),
    ("events", small, ("j", "j")),
]
NAMES = [name for name, _, _ in SCREENS]

screens = pytest.mark.parametrize(("screen", "make", "pressed"), SCREENS, ids=NAMES)


@screens
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_screen(
    snap_compare,
    screen: str,
    make: Callable[[], SyntheticSource],
    pressed: tuple[str, ...],
    size: tuple[int, int],
) -> None:
    check(snap_compare, make(), size, keys(*pressed), screen=screen)


@screens
def test_ascii(
    snap_compare, screen: str, make: Callable[[], SyntheticSource], pressed: tuple[str, ...]
) -> None:
    config = ConsoleConfig(ascii_only=True)
    check(snap_compare, make(), (80, 24), keys(*pressed), screen=screen, config=config)


@screens
def test_no_colour(
    snap_compare,
    screen: str,
    make: Callable[[], SyntheticSource],
    pressed: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    check(snap_compare, make(), (80, 24), keys(*pressed), screen=screen)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_one_flow(snap_compare, size: tuple[int, int]) -> None:
    check(snap_compare, flows(300), size, keys("enter", "x"), screen="flows")


def test_one_event(snap_compare) -> None:
    typed = ("slash", *"type", "colon", *"failed", "enter")
    check(snap_compare, small(), (80, 24), keys(*typed, "j", "enter"), screen="events")


@pytest.mark.parametrize("screen", NAMES)
def test_nothing_yet(snap_compare, screen: str) -> None:
    check(snap_compare, SyntheticSource(), (80, 24), keys(), screen=screen)
