"""Parts of a chord that end with neither value nor failure: the chord ends all the same."""

import datetime

import pytest

from tests.support.fleet import TIMEOUT, Fleet
from tests.support.waiting import eventually
from tq import chain, chord, group
from tq.errors import ChordError, Ignore, WorkerLostError

pytestmark = pytest.mark.timeout(90)


def fails_with(fleet: Fleet, t, part, match: str) -> None:
    """Run `part` beside another one, in a plain chord and in a header of another chord."""
    key = fleet.key()
    inner = chord([part, t.identity.si(1)], t.echo.s(key=key))
    inner.link_error(t.count.si(key))
    result = inner.delay()
    with pytest.raises(ChordError, match=match):
        result.get(timeout=TIMEOUT, follow_parents=False)
    # A part that kills its process must not take the errback along, which would run again.
    fleet.settle()
    assert fleet.echoed(key) == []
    assert fleet.counted(key) == 1
    outer = chord(
        [chord([part.clone(), t.identity.si(1)], t.xsum.s()), t.identity.si(2)], t.xsum.s()
    )
    with pytest.raises(ChordError, match=match):
        outer.delay().get(timeout=TIMEOUT, follow_parents=False)
    fleet.settle()


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda t: t.ignored.si(), id="part"),
        pytest.param(lambda t: t.ignored.si() | t.identity.s(), id="first of a chain"),
        pytest.param(lambda t: t.identity.si(1) | t.ignored.si() | t.identity.s(), id="amid it"),
        pytest.param(lambda t: t.identity.si(1) | t.ignored.si(), id="last of a chain"),
        pytest.param(
            lambda t: chain(t.ignored.si(), group(t.identity.si(1), t.identity.si(2))),
            id="before a group",
        ),
        pytest.param(lambda t: chord([t.identity.si(1)], t.ignored.s()), id="body of a part"),
        pytest.param(lambda t: t.become.si(sig=t.ignored.si()), id="replacement"),
    ],
)
def test_ignored_part_fails_the_body(fleet: Fleet, t, build):
    fails_with(fleet, t, build(t), r"Dependency .* raised Ignore\('nothing to do'\)")


def test_ignored_part_itself_stays_unrecorded(fleet: Fleet, t):
    key = fleet.key()
    part = t.ignored.si()
    part.link_error(t.count.si(key))
    result = chord([part, t.identity.si(1)], t.xsum.s()).delay()
    with pytest.raises(ChordError):
        result.get(timeout=TIMEOUT, follow_parents=False)
    fleet.settle()
    assert result.parent.results[0].state == "PENDING"
    assert fleet.counted(key) == 0


def test_part_that_goes_on_under_its_own_id_is_counted_by_that(t):
    made = chord([t.moved.si(4), t.identity.si(1)], t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 5


def test_chain_ends_quietly_at_an_ignored_step(fleet: Fleet, t):
    key = fleet.key()
    result = chain(t.identity.si(1), t.ignored.si(), t.echo.s(key=key)).delay()
    assert result.parent.parent.get(timeout=TIMEOUT) == 1
    fleet.settle()
    assert fleet.echoed(key) == []
    assert [result.parent.state, result.state] == ["PENDING", "PENDING"]


def test_rejected_part_fails_the_body(fleet: Fleet, t):
    fails_with(fleet, t, t.rejected.si(), "Dependency .* raised reject .*not mine")


def test_part_that_is_given_back_counts_when_it_ends(fleet: Fleet, t):
    made = chord([t.returned_once.si(4, fleet.key()), t.identity.si(1)], t.xsum.s())
    assert made.delay().get(timeout=TIMEOUT) == 5


def test_expired_part_fails_the_body(fleet: Fleet, t):
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)
    fails_with(fleet, t, t.identity.si(1).set(expires=past), "Dependency .* raised")


def test_part_that_nobody_knows_fails_the_body(fleet: Fleet, t):
    fails_with(fleet, t, fleet.app.signature("canvas.unheard_of", immutable=True), "unheard_of")


@pytest.fixture
def prefork(fleet: Fleet) -> None:
    if "prefork" not in fleet.workers[0].process.args:
        pytest.skip("a thread cannot die alone")


def test_part_that_takes_its_process_along_fails_the_body(fleet: Fleet, t, prefork):
    fails_with(fleet, t, t.lost.si(), f"Dependency .* raised {WorkerLostError.__name__}")


def test_part_that_ends_in_the_dead_letters_fails_the_body(fleet: Fleet, t, prefork):
    result = chord([t.deadly.si(), t.identity.si(1)], t.xsum.s()).delay()
    with pytest.raises(ChordError, match=f"Dependency .* raised {WorkerLostError.__name__}"):
        result.get(timeout=TIMEOUT, follow_parents=False)
    eventually(lambda: fleet.redis.llen("tq:dead"), within=TIMEOUT)


def test_eager_chord_fails_alike(t):
    made = chord([t.ignored.si(), t.identity.si(1)], t.xsum.s())
    with pytest.raises(ChordError, match="Ignore"):
        made.apply()
    assert isinstance(t.ignored.apply().result, Ignore)
