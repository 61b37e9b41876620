"""Waiting for something to become true, instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], within: float = 5.0, every: float = 0.01) -> T:
    """Return the first true value of `condition()`, or fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {within} s: {condition}")
        time.sleep(every)
