"""One project, on Celery and on tq, side by side: the same results, states, events and signals.

`example/basic/project.py` is written for Celery. On tq only its import lines and the class name
differ; `drive.py`, which calls it, is the same file. Whatever else differs is in
`tools.compatibility.seen`.
"""

import difflib
import json
import re
import uuid
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.interop.side_by_side import NODE, SWAPS, Run, differences, source
from tools.compatibility.seen import BY_DESIGN, NOT_YET

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("interop-side-by-side")]

Seen = dict[str, Any]


def results(run: Run) -> Seen:
    """What every call gave its caller."""
    return {
        f"{part} {answer[0] if isinstance(answer[0], str) else index}": answer[1:] or answer
        for part, answers in run.found.items()
        for index, answer in enumerate([answers] if part == "last" else answers)
    }


def records(run: Run) -> Seen:
    """What is stored of every task, field by field."""
    seen = {}
    for task_id, text in run.stored.items():
        for field, value in json.loads(text).items():
            if field == "traceback":
                value = bool(value)
            if field not in ("date_done", "group_id"):
                seen[f"{task_id} {field}"] = value
    return seen


def told(run: Run) -> Seen:
    """The events of every task, the worker's in order, with the fields that do not tell the time."""
    seen: Seen = {}
    for one in run.events:
        kind, uuid = one["type"], one.get("uuid")
        seen[f"fields of {kind}"] = sorted({*one, *seen.get(f"fields of {kind}", ())})
        if uuid is None:
            continue
        # The client's and the child's own events cross the worker's, and a retry comes back to the
        # worker before or after the news that it was asked for.
        who = "" if one["hostname"] == NODE else f" of the {run.role(one['pid'])}"
        order = "order" if not who and kind != "task-received" else f"{kind}{who}"
        seen.setdefault(f"{uuid} {order}", []).append(kind)
        for field, value in one.items():
            if field not in PASSING and not (field in ("eta", "expires") and value):
                seen.setdefault(f"{uuid} {kind}{who} {field}", []).append(value)
    return seen


def heard(run: Run) -> Seen:
    """The signals of every task in each process, in order, and those of the worker itself."""
    seen: Seen = {}
    for name, who, arguments, values, task_id, pid in run.signals:
        role = run.role(pid)
        seen[f"arguments of {name}"] = arguments
        if task_id is None:
            seen[f"{role} {name} of"] = who
            seen[f"{role} {name} with"] = values
        else:
            seen.setdefault(f"{task_id} in the {role}", []).append([name, who, values])
    return seen


def noted(run: Run) -> Seen:
    """What tasks and handlers wrote down, by the task's id."""
    seen: Seen = {}
    for line in run.notes:
        seen.setdefault(" ".join(line.split()[:2]), []).append(line)
    return seen


def logged(run: Run) -> Seen:
    """The lines that the task itself logged and printed, as the worker wrote them."""
    lines = re.findall(r"(\w+)/\S+\] (.*(?:line of the task's own|printed line))", run.output)
    return {text.split()[-1]: [level, text] for level, text in lines}


# Fields of events that tell when, by whom or how fast.
PASSING = frozenset(
    {"clock", "hostname", "local_received", "pid", "runtime", "timestamp", "traceback", "utcoffset"}
)
VIEWS = {view.__name__: view for view in (results, records, told, heard, noted, logged)}


@pytest.fixture(scope="module", params=["redis", "amqp"])
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    prefix, amqp = f"example-{uuid.uuid4().hex[:8]}-", request.param == "amqp"
    return {
        name: Run("basic", name, tmp_path_factory.mktemp(name), "last", prefix, amqp)
        for name in ("celery", "tq")
    }


def test_nothing_but_imports_and_the_class_name_differs() -> None:
    theirs, ours = source("basic", "celery").splitlines(), source("basic", "tq").splitlines()
    changed = [line[2:] for line in difflib.ndiff(theirs, ours) if line[:2] in ("- ", "+ ")]
    assert len(changed) == 2 * len(SWAPS)
    others = [line.partition("(")[0] for line in changed if " import " not in line]
    assert others == ["app = Celery", "app = TQ"]


@pytest.mark.parametrize("view", VIEWS)
def test_what_differs_is_meant_to(runs: dict[str, Run], view: str) -> None:
    named = {**BY_DESIGN["basic"].get(view, {}), **NOT_YET["basic"].get(view, {})}
    found = differences(VIEWS[view], runs)
    assert {k: v for k, v in found.items() if not any(fnmatch(k, name) for name in named)} == {}
    # A reason that nothing needs any more goes.
    assert [name for name in named if not any(fnmatch(key, name) for key in found)] == []


def test_both_served_everything(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert run.found["last"][1:3] == ["SUCCESS", 0]
        # What was revoked an hour before its time waits in the broker to be dropped then.
        assert set(run.left) == {"revoked"}
