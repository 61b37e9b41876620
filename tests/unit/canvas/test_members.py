"""Groups of generators: what is made when, and that the rest behaves as a list."""

import copy
import json
import operator
import pickle

import pytest

from tq.canvas import chain, chord, group
from tq.canvas import members as members_module
from tq.canvas.members import FIRST, Members, members_of
from tq.canvas.plan import BATCH

LONG = FIRST + 5


@pytest.fixture(autouse=True)
def unhurried(monkeypatch) -> None:
    """Only the number of members counts, however slow the machine is."""
    monkeypatch.setattr(members_module, "FIRST_SECONDS", 3600.0)


@pytest.fixture
def count(s):
    """Signatures of a generator, and how many it has made."""
    made = []

    def generate(size):
        for i in range(size):
            made.append(i)
            yield s("add", i)

    generate.made = made
    return generate


def numbers(size=LONG):
    return members_of(iter(range(size)), lambda value: value)


def test_short_generator_is_read_when_the_group_is_made(count):
    made = group(count(10))
    assert type(made.tasks) is list
    assert len(count.made) == 10


def test_slow_generator_is_read_when_the_group_is_sent(app, count, monkeypatch):
    monkeypatch.setattr(members_module, "FIRST_SECONDS", 0.0)
    made = group(count(5))
    assert len(count.made) == 1
    made.apply_async()
    assert [call[1] for call in app.calls] == [(i,) for i in range(5)]


def test_tail_of_a_long_generator_is_made_while_the_group_is_sent(app, count):
    made = group(count(LONG))
    assert len(count.made) == FIRST
    sent_when = []
    publish = app.send_many
    app.send_many = lambda calls: sent_when.append(len(count.made)) or publish(calls)
    result = made.apply_async()
    assert sent_when[0] < FIRST + 2
    assert [call[3]["group_index"] for call in app.calls] == list(range(LONG))
    assert [member.id for member in result.results] == [call[3]["task_id"] for call in app.calls]
    # and again, from what was kept
    made.apply_async()
    assert len(app.calls) == 2 * LONG
    assert len(count.made) == LONG


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_long_groups_are_sent_in_batches(app, s, kind):
    sizes = []
    publish = app.send_many
    app.send_many = lambda calls: sizes.append(len(calls)) or publish(calls)
    given = (s("add", i) for i in range(4 * BATCH))
    chord([*given] if kind == "list" else given, s("sum")).apply_async()
    assert len(sizes) >= 4
    assert max(sizes) <= BATCH
    assert len(app.calls) == 4 * BATCH


def test_size_of_a_chord_is_written_before_its_last_part_is_sent(app, s, count):
    sizes = []
    publish = app.send_many

    def send_many(calls):
        known = list(app.backend._chords.values())
        sizes.append(known[0].size if known else None)
        return publish(calls)

    app.send_many = send_many
    chord(count(LONG), s("sum")).apply_async()
    assert sizes[0] is None
    assert sizes[-1] == LONG
    assert len(app.calls) == LONG


def test_sizes_of_nested_chords_are_written_before_their_last_parts(app, s, count, monkeypatch):
    monkeypatch.setattr("tq.canvas.plan.BATCH", 1)
    complete = []
    sent = app.send_task

    def send_task(name, args=None, kwargs=None, **options):
        complete.append((options["group_id"], set(app.backend._chords)))
        return sent(name, args, kwargs, **options)

    app.send_task = send_task
    inner = chord([s("a"), s("b"), chain(group(()), group(()))], s("sum"))
    chord([s("c"), inner, chord([s("d"), s("e")], s("sum"))], s("sum")).apply_async()
    last = dict(complete)
    outer, *inner_ids = last
    assert len(inner_ids) == 2
    assert all(group_id in last[group_id] for group_id in inner_ids)
    # the bodies of the inner chords are its last parts
    assert outer in last[inner_ids[-1]]


def test_error_of_a_generator_is_raised_again(app, s):
    def failing():
        for i in range(LONG):
            yield s("add", i)
        raise OSError("no more rows")

    made = group(failing())
    for _ in range(2):
        with pytest.raises(OSError, match="no more rows"):
            made.apply_async()


def test_what_is_no_signature_is_refused_where_the_group_is_made():
    with pytest.raises(TypeError, match="expected a signature"):
        group(i for i in range(3))


@pytest.mark.parametrize(
    "use",
    [
        len,
        list,
        tuple,
        json.dumps,
        repr,
        copy.copy,
        copy.deepcopy,
        sorted,
        lambda m: m[-1],
        lambda m: m[LONG - 1],
        lambda m: m[FIRST:],
        lambda m: m[:3],
        lambda m: m[:],
        lambda m: [*m],
        lambda m: [0, *reversed(m)],
        lambda m: operator.add(m, [1]),
        lambda m: operator.add([1], m),
        lambda m: m == list(range(LONG)),
        lambda m: list(range(LONG)) == m,
        lambda m: m != list(range(LONG)),
        lambda m: LONG - 1 in m,
        lambda m: m.index(LONG - 1),
        lambda m: m.pop(),
        lambda m: m.append(3) or list(m),
        lambda m: m.extend([3, 4]) or list(m),
        lambda m: pickle.loads(pickle.dumps(m)),
    ],
)
def test_members_are_used_as_a_list(use):
    lazy = numbers()
    assert isinstance(lazy, Members)
    assert bool(lazy)
    assert use(lazy) == use(list(range(LONG)))


def test_index_past_the_end_is_refused():
    with pytest.raises(IndexError):
        numbers()[LONG]


def test_two_readers_see_the_same_members():
    lazy = numbers()
    first, second = iter(lazy), iter(lazy)
    pairs = list(zip(first, second, strict=True))
    assert pairs == [(i, i) for i in range(LONG)]
