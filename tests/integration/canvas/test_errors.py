"""Failures in headers, bodies and callbacks on real workers: who is told, and how often."""

import asyncio
import uuid

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tq import chain, chord, group
from tq.errors import ChordError, TaskRevokedError

pytestmark = pytest.mark.timeout(90)

STYLES = ["errback_old", "errback_new"]


def fails(result) -> None:
    """Callers get what the task raised, whatever failed because of it."""
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)


def members(t, kind: str):
    """A header member or body that fails, and the task in it that does."""
    bad = t.fail.si()
    if kind == "task":
        return bad, bad
    if kind == "chain":
        return chain(t.identity.si(42), bad, t.identity.si(42)), bad
    if kind == "tail":
        return chain(t.identity.si(42), bad), bad
    return group(t.identity.si(42), bad), bad


KINDS = ["task", "chain", "tail", "group"]


@pytest.mark.parametrize("kind", KINDS)
def test_failure_in_a_header_fails_the_body_and_calls_its_errback_once(fleet: Fleet, t, kind):
    key = fleet.key()
    member, _ = members(t, kind)
    made = chord((member, t.identity.si(1)), t.echo.s(key=f"{key} body"))
    made.link_error(t.echo.si("failed", key))
    result = made.delay()
    fails(result)
    with pytest.raises(ChordError, match=r"Dependency .* raised"):
        result.get(timeout=TIMEOUT, follow_parents=False)
    fleet.settle()
    assert fleet.echoed(key) == ["failed"]
    assert fleet.echoed(f"{key} body") == []


@pytest.mark.parametrize("kind", KINDS)
def test_failure_in_a_body_calls_its_errback_once(fleet: Fleet, t, kind):
    key = fleet.key()
    body, _ = members(t, kind)
    made = chord((t.identity.si(42),), body)
    made.link_error(t.echo.si("failed", key))
    fails(made.delay())
    fleet.settle()
    assert fleet.echoed(key) == ["failed"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_errback_is_told_the_bodys_id_when_the_header_fails(fleet: Fleet, t, kind, style):
    member, _ = members(t, kind)
    made = chord((member,), t.identity.s())
    made.link_error(getattr(t, style).s())
    body_id = made.body.freeze().id
    fails(made.delay())
    fleet.settle()
    assert fleet.counted(body_id) == 1
    if style == "errback_new":
        assert fleet.redis.lrange(f"errors:{body_id}", 0, -1)[0].startswith("ChordError")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_errback_is_told_which_task_of_the_body_failed(fleet: Fleet, t, kind, style):
    body, bad = members(t, kind)
    failed_id = bad.freeze().id
    made = chord((t.identity.si(42),), body)
    made.link_error(getattr(t, style).s())
    # A body that is a single task gets its id with the chord.
    fails(made.delay())
    fleet.settle()
    assert fleet.counted(failed_id) == 1


def test_many_failures_in_a_header_call_the_bodys_errback_once(fleet: Fleet, t):
    key = fleet.key()
    header = group(*(t.identity.si(1) for _ in range(8)), *(t.fail.s() for _ in range(13)))
    made = chord((header,), t.identity.s())
    made.link_error(t.count.si(key))
    fails(made.delay())
    fleet.settle()
    assert fleet.counted(key) == 1


def test_each_failure_in_a_body_that_is_a_group_calls_the_errback(fleet: Fleet, t):
    key = fleet.key()
    body = group(*(t.identity.si(1) for _ in range(8)), *(t.fail.si() for _ in range(13)))
    made = chord((t.identity.si(42),), body)
    made.link_error(t.count.si(key))
    fails(made.delay())
    fleet.settle()
    assert fleet.counted(key) == 13


@pytest.mark.parametrize("style", STYLES)
def test_errbacks_in_a_body_group_are_told_their_own_member(fleet: Fleet, t, style):
    bad = [t.fail.si() for _ in range(5)]
    ids = [sig.freeze().id for sig in bad]
    made = chord((t.identity.si(42),), group(t.identity.si(1), *bad))
    made.link_error(getattr(t, style).s())
    fails(made.delay())
    fleet.settle()
    assert [fleet.counted(id_) for id_ in ids] == [1] * 5


def test_header_that_ends_in_a_group_counts_every_part_that_never_ran(fleet: Fleet, t):
    key = fleet.key()
    member = chain(t.fail.si(), group(t.identity.si(1), t.identity.si(2), t.identity.si(3)))
    made = chord([member, t.identity.si(4)], t.echo.s(key=key))
    result = made.delay()
    fails(result)
    with pytest.raises(ChordError, match="boom"):
        result.get(timeout=TIMEOUT, follow_parents=False)
    assert fleet.echoed(key) == []


def test_failing_inner_chord_fails_the_outer_body_with_one_errback(fleet: Fleet, t):
    key = fleet.key()
    inner = chord([t.identity.si("t1"), t.fail.si()], t.identity.si("t2"))
    made = chord(group(t.identity.si("t3"), inner), t.echo.si("body", f"{key} body"))
    made.link_error(t.echo.si("failed", key))
    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError\('boom'\)"):
        made.delay().get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.echoed(f"{key} body") == []
    assert fleet.echoed(key) == ["failed"]


def test_inner_chord_that_fails_while_the_outer_waits_fails_it_too(t):
    inner = chord([t.identity.si(1), t.fail.si()], t.identity.si(2) | t.identity.s())
    made = chord([inner, t.identity.si(3)], t.xsum.s())
    for canvas in (made, chord([made, t.identity.si(4)], t.xsum.s()), made | t.identity.s()):
        with pytest.raises(ChordError, match="boom"):
            canvas.delay().get(timeout=TIMEOUT, follow_parents=False)


HEADERS = [
    "f",
    "fff",
    "fi",
    "fii",
    "fif",
    "fifi",
    "fifif",
]


@pytest.fixture
def header_errbacks(fleet: Fleet):
    """`task_allow_error_cb_on_chord_header`, on the client, where errbacks are linked."""
    fleet.app.conf.task_allow_error_cb_on_chord_header = True
    yield
    fleet.app.conf.task_allow_error_cb_on_chord_header = False


@pytest.mark.parametrize("shape", HEADERS)
def test_errbacks_of_header_and_body_are_each_called_for_their_own(
    fleet: Fleet, t, header_errbacks, shape
):
    key = fleet.key()
    made = chord([t.fail.si() if c == "f" else t.identity.si(42) for c in shape], t.echo.s(key=key))
    for part in made.tasks:
        part.link_error(t.echo.si("part", f"{key} parts"))
    made.body.link_error(t.echo.si("body", f"{key} bodies"))
    fails(made.delay())
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.echoed(f"{key} parts") == ["part"] * shape.count("f")
    assert fleet.echoed(f"{key} bodies") == ["body"]


@pytest.mark.parametrize("shape", HEADERS)
def test_errback_of_a_chord_is_called_once_by_default(fleet: Fleet, t, shape):
    key = fleet.key()
    made = chord([t.fail.si() if c == "f" else t.identity.si(42) for c in shape], t.echo.s(key=key))
    made.link_error(t.count.si(f"{key} errors"))
    fails(made.delay())
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(f"{key} errors") == 1


@pytest.mark.parametrize("shape", HEADERS[1:])
def test_errback_of_an_upgraded_chord_reaches_header_and_body(
    fleet: Fleet, t, header_errbacks, shape
):
    key = fleet.key()
    header = group([t.fail.si() if c == "f" else t.identity.si(42) for c in shape])
    made = chain(header, t.echo.s(key=key))
    made.link_error(t.count.si(f"{key} errors"))
    fails(made.delay())
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(f"{key} errors") == shape.count("f") + 1


def test_errback_of_a_chain_with_an_upgraded_chord_and_header_errbacks(
    fleet: Fleet, t, header_errbacks
):
    key = fleet.key()
    made = chain(t.identity.si(42), group(t.fail.si(), t.fail.si()), t.echo.s(key=key))
    fails(made.on_error(t.count.si(f"{key} errors")).apply_async())
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(f"{key} errors") >= 1


def test_body_with_on_error_gets_the_failed_ids_trace(fleet: Fleet, t):
    body = t.echo.s("never").on_error(t.errback_old.s())
    result = chord([t.add.s(1, 2), t.add.s(3, 4), t.fail.s()], body)()
    fails(result)
    fleet.settle()
    assert fleet.counted(result.id) == 1
    *good, bad = result.parent.results
    assert [part.get(timeout=TIMEOUT) for part in good] == [3, 7]
    with pytest.raises(ChordError, match=bad.id):
        result.get(timeout=TIMEOUT, follow_parents=False)


@pytest.mark.parametrize("body", ["task", "group"])
def test_awaiting_raises_what_getting_raises(t, body):
    made = chord([t.fail.si(), t.identity.si(1)], members(t, body)[0])

    async def wait():
        await made.delay()

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(wait())


# -- single tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_errback_of_a_task(fleet: Fleet, t, style, eager):
    task_id = str(uuid.uuid4())
    errback = getattr(t, style).s()
    if eager:
        with fleet_marks(fleet):
            result = t.fail.apply(args=("x",), link_error=errback, task_id=task_id)
    else:
        result = t.fail.apply_async(("x",), link_error=errback, task_id=task_id)
    error = result.get(timeout=TIMEOUT, propagate=False)
    assert isinstance(error, ValueError)
    assert error.args == ("boom", "x")
    fleet.settle()
    assert fleet.counted(task_id) == 1


class fleet_marks:
    """Tasks that run here leave their traces in the fleet's server."""

    def __init__(self, fleet: Fleet) -> None:
        self._patch = pytest.MonkeyPatch()
        self._fleet = fleet

    def __enter__(self) -> None:
        self._patch.setenv("PEER_MARKS", str(self._fleet.server.socket))
        self._patch.setattr("tests.support.canvas_tasks._marks", None)

    def __exit__(self, *exc: object) -> None:
        self._patch.undo()


@pytest.mark.parametrize("eager", [False, True])
def test_errback_by_name_and_with_retries(fleet: Fleet, t, eager):
    key = fleet.key()
    bad = fleet.app.signature("canvas.fail", args=("x",))
    bad.link_error(fleet.app.signature("canvas.flaky", kwargs={"key": key, "fails": 1}))
    with fleet_marks(fleet):
        result = bad.apply() if eager else bad.delay()
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=TIMEOUT)
    fleet.settle()
    assert fleet.counted(key) == 2


def test_failing_callback_leaves_the_result_alone(t):
    sig = t.identity.s(5)
    sig.link(t.fail.s())
    result = sig.delay()
    assert result.get(timeout=TIMEOUT) == 5
    assert result.successful()


def test_failing_errback_leaves_the_error_alone(fleet: Fleet, t):
    bad = t.fail.s()
    bad.link_error(t.fail.s())
    result = bad.delay()
    fails(result)
    fleet.settle()
    assert result.failed()


# -- revoked ---------------------------------------------------------------------------------------


def test_revoked_part_fails_the_body(fleet: Fleet, t):
    doomed = t.identity.si(1).set(countdown=0.3)
    key = fleet.key()
    result = chord([doomed, t.gate.si(key, 2)], t.xsum.s()).delay()
    fleet.wait_at(key)
    result.parent.results[0].revoke(wait=True, timeout=5)
    fleet.open(key)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)
    with pytest.raises(ChordError):
        result.get(timeout=TIMEOUT, follow_parents=False)


def test_revoked_step_revokes_the_rest_and_fails_the_chord_that_waits(fleet: Fleet, t):
    doomed = chain(t.identity.si(1).set(countdown=0.3), t.identity.s(), t.identity.s())
    key = fleet.key()
    result = chord([doomed, t.gate.si(key, 2)], t.xsum.s()).delay()
    fleet.wait_at(key)
    last = result.parent.results[0]
    last.parent.parent.revoke(wait=True, timeout=5)
    fleet.open(key)
    with pytest.raises(ChordError):
        result.get(timeout=TIMEOUT, follow_parents=False)
    with pytest.raises(TaskRevokedError):
        last.get(timeout=TIMEOUT)


def test_revoked_group_revokes_its_members(fleet: Fleet, t):
    result = group(t.identity.si(i).set(countdown=0.3) for i in range(3)).delay()
    result.revoke(wait=True, timeout=5)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=TIMEOUT)
    fleet.settle()
    assert [member.state for member in result.results] == ["REVOKED"] * 3
