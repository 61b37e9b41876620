"""Signals reach their receivers, and receivers cannot break their senders."""

import gc
import logging

import pytest

from tq.signals import ALL_SIGNALS, Signal


def test_every_signal_of_the_reference_exists_once():
    names = [signal.name for signal in ALL_SIGNALS]
    assert len(names) == len(set(names)) == 35 - 1
    assert {"task_prerun", "worker_process_init", "beat_init", "setup_logging"} <= set(names)


def test_a_receiver_gets_signal_sender_and_arguments():
    signal, seen = Signal("s"), []

    @signal.connect
    def receiver(sender, **named):
        seen.append((sender, named))

    signal.send("me", value=1)
    assert seen == [("me", {"signal": signal, "value": 1})]


def test_the_sender_filter_compares_text_by_value():
    signal, seen = Signal("s"), []

    @signal.connect(sender="a")
    def receiver(sender, **named):
        seen.append(sender)

    signal.send(sender="".join(["a"]))
    signal.send(sender="b")
    assert seen == ["a"]


def test_a_weak_receiver_is_forgotten_when_collected():
    signal = Signal("s")

    def connect():
        def receiver(**named):
            """Do nothing."""

        signal.connect(receiver)

    connect()
    gc.collect()
    assert not signal


def test_a_raising_receiver_is_logged_and_the_next_still_called(caplog):
    signal, seen = Signal("s"), []

    def bad(**named):
        raise ValueError("boom")

    def good(**named):
        seen.append(1)

    signal.connect(bad)
    signal.connect(good)
    with caplog.at_level(logging.ERROR):
        answers = signal.send()
    assert seen == [1]
    assert isinstance(answers[0][1], ValueError)
    assert "boom" in caplog.text


def test_connecting_twice_calls_once_and_disconnect_ends_it():
    signal, seen = Signal("s"), []

    def receiver(**named):
        seen.append(1)

    signal.connect(receiver)
    signal.connect(receiver)
    signal.send()
    assert seen == [1]
    assert signal.disconnect(receiver) is True
    assert signal.disconnect(receiver) is False
    assert not signal.has_listeners()


def test_a_dispatch_uid_replaces_the_receiver():
    signal, seen = Signal("s"), []

    def first(**named):
        seen.append(1)

    def second(**named):
        seen.append(2)

    signal.connect(first, dispatch_uid="x")
    signal.connect(second, dispatch_uid="x")
    signal.send()
    assert seen == [2]


def test_a_receiver_without_keywords_is_refused():
    with pytest.raises(TypeError, match="kwargs"):
        Signal("s").connect(lambda sender: None)
