"""Celery's text, byte for byte as its command line printed it."""

import ast
import json
from pathlib import Path

import pytest

from tq.wire.command import Reply
from tqconsole.cli.celery_text import SILENCE, block, count_line

FIXTURES = Path(__file__).parents[2] / "fixtures" / "cli"
NODE = "worker1@example-host"


def printed(name: str, stream: str = "stdout") -> str:
    return json.loads((FIXTURES / f"{name}.json").read_text())[stream]


def items(name: str) -> list:
    """What a worker must have replied for Celery to print this list."""
    lines = [line[6:] for line in printed(name).splitlines() if line.startswith("    * ")]
    return [ast.literal_eval(line) if line.startswith("{") else line for line in lines]


def document(name: str) -> dict:
    """What a worker must have replied for Celery to print this object."""
    body = printed(name).split("\n", 1)[1].rpartition("\n\n")[0]
    return json.loads(body)


def inspected(value) -> str:
    return f"{block(Reply(node=NODE, value=value))}\n{count_line(1)}\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("inspect_ping", {"ok": "pong"}),
        ("inspect_clock", {"clock": 52}),
        ("inspect_reserved", []),
        ("inspect_active", items("inspect_active")),
        ("inspect_active_queues", items("inspect_active_queues")),
        ("inspect_registered", items("inspect_registered")),
        ("inspect_scheduled", items("inspect_scheduled")),
        ("inspect_query_task", document("inspect_query_task")),
        ("inspect_stats", document("inspect_stats")),
    ],
)
def test_inspect_is_printed_as_celery_prints_it(name, value):
    assert inspected(value) == printed(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("control_pool_grow", {"ok": "pool will grow"}),
        ("control_rate_limit", {"ok": "new rate limit set successfully"}),
        ("control_rate_limit_bad", {"error": "unknown task"}),
        ("control_autoscale_error", {"error": "ValueError('Autoscale not enabled')"}),
        ("control_enable_events", {"ok": "task events already enabled"}),
    ],
)
def test_control_is_printed_as_celery_prints_it(name, value):
    assert f"{block(Reply(node=NODE, value=value))}\n" == printed(name)


def test_status_has_no_body_and_quiet_no_arrow():
    reply = Reply(node=NODE, value={"ok": "pong"})
    tail = f"\n{count_line(1)}\n"
    assert block(reply, body=False) + tail == printed("status")
    assert block(reply, body=False, quiet=True) + tail == printed("status_quiet")


def test_silence_has_celerys_words():
    assert (
        f"{SILENCE}\n" == printed("status_none", "stderr") == printed("inspect_timeout", "stderr")
    )


def test_control_bytes_of_a_reply_do_not_reach_the_terminal():
    assert "\x1b" not in block(Reply(node=NODE, value=["\x1b[2J"]))
