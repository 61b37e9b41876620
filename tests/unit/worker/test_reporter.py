"""Events and log lines have Celery's fields and words; fixtures are what Celery 5.7 sent."""

import base64
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.worker.conftest import make_delivery
from tq.worker.actions import Report
from tq.worker.outcome import Record
from tq.worker.reporter import Reporter
from tq.worker.request import Request, TaskPolicy

FIXTURES = Path(__file__).parents[2] / "fixtures" / "events-redis"
# What the emitter adds to every event.
COMMON = {"hostname", "utcoffset", "pid", "clock", "timestamp", "type"}


class Emitter:
    """Keeps what it is given."""

    pending = 0

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append((kind, fields))

    def wants(self, group: str) -> bool:
        return True


def celerys_fields(kind: str) -> set[str]:
    """The fields of the first event of a kind in its fixture, those of every event left out."""
    raw = json.loads((FIXTURES / f"{kind}.json").read_text())["message"]["raw"]
    events = json.loads(base64.b64decode(json.loads(raw)["body"]))
    event = next(one for one in events if one["type"] == kind)
    return set(event) - COMMON


@pytest.fixture
def emitter() -> Emitter:
    return Emitter()


@pytest.fixture
def reporter(emitter: Emitter) -> Reporter:
    return Reporter(SimpleNamespace(tasks={}), emitter, lambda: None)  # type: ignore[arg-type]


def a_request(**headers: Any) -> Request:
    from tq.wire.message import read_headers
    from tq.wire.serialization import JSON_ONLY

    delivery = make_delivery(**headers)
    found = read_headers(delivery.message, JSON_ONLY)
    return Request(
        delivery=delivery, headers=found, policy=TaskPolicy(name="proj.add"), received=1.0
    )


@pytest.mark.parametrize(
    ("kind", "record", "fields", "line"),
    [
        ("received", None, {}, "Task proj.add[id-1] received"),
        ("started", None, {}, "Task accepted: proj.add pid:None"),
        ("succeeded", Record("SUCCESS", 0.5, "5"), {}, "Task proj.add[id-1] succeeded in 0.5s: 5"),
        (
            "failed",
            Record("FAILURE", 0.5, "ValueError('boom')", "Traceback ..."),
            {},
            "Task proj.add[id-1] raised unexpected: ValueError('boom')\nTraceback ...",
        ),
        (
            "retried",
            Record("RETRY", 0.5, "OSError('not yet')", "Traceback ..."),
            {},
            "Task proj.add[id-1] retry: OSError('not yet')",
        ),
        (
            "revoked",
            None,
            {"terminated": False, "signum": None, "expired": True},
            "Discarding expired task: proj.add[id-1]",
        ),
    ],
)
def test_events_have_celerys_fields_and_lines_its_words(
    reporter: Reporter,
    emitter: Emitter,
    caplog: pytest.LogCaptureFixture,
    kind: Any,
    record: Record | None,
    fields: dict[str, Any],
    line: str,
) -> None:
    with caplog.at_level(logging.DEBUG, "tq.worker.reporter"):
        reporter.tell([Report(kind, a_request(), record, fields)])
    ((sent, values),) = emitter.sent
    assert sent == f"task-{kind}"
    assert set(values) - COMMON == celerys_fields(sent)
    assert values["uuid"] == "id-1"
    assert caplog.messages == [line]


def test_a_part_of_a_group_tells_so_beside_celerys_fields(
    reporter: Reporter, emitter: Emitter
) -> None:
    reporter.tell([Report("received", a_request(group="g1", group_index=2))])
    ((_, values),) = emitter.sent
    assert set(values) - COMMON == celerys_fields("task-received") | {"group_id", "group_index"}
    assert (values["group_id"], values["group_index"]) == ("g1", 2)


@pytest.mark.parametrize(
    ("acknowledged", "requeue", "kinds"),
    [
        (False, True, ["task-rejected"]),
        (False, False, ["task-failed", "task-rejected"]),
        (True, False, ["task-failed"]),
        (True, None, []),  # early ack: there is nothing left to requeue
    ],
)
def test_a_rejected_task_is_told_as_what_became_of_its_message(
    reporter: Reporter,
    emitter: Emitter,
    acknowledged: bool,
    requeue: bool | None,
    kinds: list[str],
) -> None:
    request = a_request()
    request.acknowledged = acknowledged
    reporter.tell([Report("rejected", request, Record("REJECTED", text="no", requeue=requeue))])
    assert [kind for kind, _ in emitter.sent] == kinds
