"""One project whose settings are not the defaults, on Celery and on tq: the same effects.

`example/tuned` as `test_side_by_side` has `example/basic`. What differs is in
`tools.compatibility.seen`.
"""

import zlib
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from tests.interop.side_by_side import Run, differences
from tools.compatibility.seen import BY_DESIGN, NOT_YET

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("interop-side-by-side")]

Seen = dict[str, Any]
LIFETIMES = (300, 600, 700)  # result_failure_expires, result_expires, result_chord_expires


def found(run: Run) -> Seen:
    """What the client saw."""
    return run.found


def lifetimes(run: Run) -> Seen:
    """For which setting's time each record is kept."""
    seen = {}
    for key, seconds in run.lifetimes.items():
        kind, _, name = key.partition("-meta-")
        seen[name if kind == "celery-task" else "chord"] = next(
            (limit for limit in LIFETIMES if limit - 120 < seconds <= limit), seconds
        )
    return seen


def stored(run: Run) -> Seen:
    """How each record is written, and what it says."""
    seen = {}
    for name, text in run.stored.items():
        mark, kind, compressed = text.removeprefix(b"\0").split(b"\0", 2)
        record = yaml.safe_load(zlib.decompress(compressed))
        seen[name] = [mark, kind, record["status"], record["task_id"], sorted(record)]
    return seen


def waiting(run: Run) -> Seen:
    """The messages that nobody has run yet, as they stand in the broker."""
    seen = {}
    for name, message in run.left.items():
        headers, properties = message["headers"], message["properties"]
        parts = {
            **{field: headers.get(field) for field in HEADERS},
            **{field: properties.get(field) for field in ("delivery_mode", "priority")},
            "coding": [message["content-type"], message["content-encoding"]],
        }
        seen.update({f"{name} {field}": value for field, value in parts.items()})
    return seen


def told(run: Run) -> Seen:
    """The kinds of events that came, and how arguments were shown."""
    shown = {one["uuid"]: one["args"] for one in run.events if one["type"] == "task-received"}
    return {**{one["type"]: "sent" for one in run.events}, "args": shown.get("fails")}


def written(run: Run) -> Seen:
    """The log's lines, and the file of the state."""
    lines = run.output.splitlines()
    return {
        "of the task": [line for line in lines if line.endswith("a logged line")],
        "printed": [line for line in lines if line.endswith("a printed line")],
        "of the worker": any(line.startswith("LINE INFO ") for line in lines),
        "state": any(path.name.startswith("state") for path in run.folder.iterdir()),
    }


HEADERS = (
    "argsrepr", "compression", "eta", "expires", "id", "ignore_result", "retries", "root_id",
    "task", "timelimit",
)  # fmt: skip
VIEWS = {view.__name__: view for view in (found, lifetimes, stored, waiting, told, written)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp
    return {name: Run("tuned", name, folder(name), "part", "tuned-") for name in ("celery", "tq")}


@pytest.mark.parametrize("view", VIEWS)
def test_settings_have_the_same_effect(runs: dict[str, Run], view: str) -> None:
    named = {**BY_DESIGN["tuned"].get(view, {}), **NOT_YET["tuned"].get(view, {})}
    found = differences(VIEWS[view], runs)
    assert {k: v for k, v in found.items() if not any(fnmatch(k, name) for name in named)} == {}
    # A reason that nothing needs any more goes.
    assert [name for name in named if not any(fnmatch(key, name) for key in found)] == []


def test_the_settings_are_kept_to(runs: dict[str, Run]) -> None:
    """What they mean, seen on tq; the test above has the rest."""
    run = runs["tq"]
    assert run.found["tasks of a child"] == 4
    assert run.found["prefetch"] == 1
    assert run.found["state"][2] == "STARTED"
    assert run.found["silent"] == ["PENDING", "FAILURE"]
    assert run.found["dies"][1:] == ["SUCCESS", "survived"]
    assert set(lifetimes(run).values()) == set(LIFETIMES)
    assert written(run) == {
        "of the task": ["TASK tuned.logs ERROR a logged line"],
        "printed": ["a printed line"],
        "of the worker": True,
        "state": True,
    }
