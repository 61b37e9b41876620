"""Which parts a chord counts for what stands in its header, and how canvases nest."""

import pytest

from tq.canvas import _chain, chain, chord, counted_ends, group, sender, signature


@pytest.fixture(autouse=True)
def current_sender(app, monkeypatch):
    """Signatures here have no application of their own."""
    monkeypatch.setattr(sender, "_provider", lambda: app)


def s(name: str = "t", **options):
    return signature(name, **options)


def ends(sig, group_id: str = "G"):
    body = s("body")
    body.freeze("B")
    sig.freeze(group_id=group_id, chord=body, group_index=3)
    return list(counted_ends(sig))


def test_task_counts_as_itself():
    sig = s()
    assert ends(sig) == [(sig.id, "G", {**s("body"), **sig.options["chord"]}, 3)]


def test_chain_counts_by_its_last_step_and_chord_by_its_body():
    for sig in (_chain([s(), s("last")]), chord([s(), s()], s("last"))):
        (found,) = ends(sig)
        assert found[1] == "G"
        assert found[3] == 3


def test_chain_that_ends_in_a_group_counts_every_member():
    found = ends(chain(s(), group(s(), s(), s())))
    assert len(found) == 3
    assert len({task_id for task_id, *_ in found}) == 3


def test_what_is_no_part_counts_nothing():
    sig = s()
    sig.freeze()
    assert list(counted_ends(sig)) == []


def test_chord_after_a_chord_whose_body_is_a_group_gets_one_list():
    made = chain(s(), group(s(), s()), group(s(), s()), chord([s()], s()))
    last = made.tasks[-1]
    assert len(made.tasks) == 2
    assert last.body["subtask_type"] == "chord"


def test_group_of_one_chain_is_a_group_with_one_member():
    made = group(chain(s(), s()))
    assert [member["subtask_type"] for member in made.tasks] == ["chain"]


def test_chain_as_header_is_its_steps():
    assert len(chord(chain(s(), s()), s()).tasks) == 2


def test_freezing_a_chain_gives_its_id_to_the_last_step():
    last = s().set(task_id="42")
    made = s() | last
    assert made.id is None
    made.freeze(last.id)
    assert made.id == last.id == "42"


def test_freezing_a_chain_leaves_its_arguments_in_front_once():
    made = chain(s(args=(2,)), s())
    made.args = (1,)
    made.freeze()
    made.freeze()
    assert made.tasks[0].args == (2,)
