"""Rates of a stream, one line for each interval."""

import json

from tqconsole.cli.event_sinks import RateSink


class Now:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def event(kind: str) -> dict:
    return {"type": kind, "hostname": "w1@here"}


def test_an_interval_gives_a_line_when_it_is_over(capsys):
    now = Now()
    rates = RateSink(5.0, as_json=True, monotonic=now)
    rates.begin()
    rates.write([event("task-started")] * 20 + [event("task-failed")] * 5, "live")
    rates.write([event("task-received")], "inspect")
    now.at += 4.9
    rates.tick()
    assert capsys.readouterr().out == ""
    now.at += 0.1
    rates.tick()
    row = json.loads(capsys.readouterr().out)
    figures = ("seconds", "events", "started", "failed", "received", "workers")
    assert tuple(row[name] for name in figures) == (5.0, 5.0, 4.0, 1.0, 0.0, 1)
    now.at += 5
    rates.tick()
    assert json.loads(capsys.readouterr().out)["events"] == 0


def test_the_rest_of_an_interval_is_told_at_the_end(capsys):
    now = Now()
    rates = RateSink(60.0, monotonic=now)
    rates.begin()
    rates.close()
    assert capsys.readouterr().out == ""
    rates.write([event("task-started")] * 20, "live")
    now.at += 10
    rates.close()
    head, line = capsys.readouterr().out.splitlines()
    figures = dict(zip(head.split()[2:], line.split()[1:], strict=True))
    assert (figures["EVENTS"], figures["START"], figures["FAIL"]) == ("2.0", "2.0", "0.0")
    assert figures["BY"] == "1"  # worker
    assert len(head) == len(line) <= 80
