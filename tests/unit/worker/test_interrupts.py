"""Signals of the operating system reach the loop with their names."""

import signal
import threading

import pytest

from tq.worker.interrupts import handle_signals
from tq.worker.loop import Loop


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (signal.SIGTERM, "warm"),
        (signal.SIGQUIT, "cold"),
        (signal.SIGINT, "interrupt"),
        (signal.SIGHUP, "restart"),
    ],
)
def test_a_signal_asks_for_a_stop_under_its_name(monkeypatch, number: int, how: str) -> None:
    monkeypatch.setattr("tq.worker.interrupts._on_terminal", lambda: False)
    assert threading.current_thread() is threading.main_thread()  # or the signal would end us
    asked: list[tuple[str, str]] = []
    loop = Loop()
    before = signal.getsignal(number)
    restore = handle_signals(loop, lambda *given: asked.append(given))
    try:
        signal.raise_signal(number)
        loop.turn(1.0)
    finally:
        restore()
        loop.close()
    assert asked == [(how, signal.Signals(number).name)]
    assert signal.getsignal(number) == before
