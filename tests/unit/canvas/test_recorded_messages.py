"""What each canvas comes to, against what Celery 5.7 published for it."""

import json
import re
from pathlib import Path

import pytest

from tq.canvas import chain, chord, chunks, group, xmap, xstarmap

FIXTURES = Path(__file__).parents[2] / "fixtures" / "task-messages-redis"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def stamped(sig, **headers):
    sig.stamp(**headers)
    return sig


CASES = {
    "chain_two": lambda s: chain(s("add", 2, 2), s("mul", 8)),
    "chain_three": lambda s: s("add", 2, 2) | s("mul", 8) | s("add", 1),
    "chain_link_error": lambda s: chain(s("add", 2, 2), s("mul", 8)).on_error(s("errback")),
    "chain_into_chord": lambda s: chain(s("add", 1, 1), group(s("add", 1), s("add", 2)), s("xsum")),
    "chord": lambda s: chord([s("add", i, i) for i in range(3)], s("xsum")),
    "chord_link_error": lambda s: chord(
        [s("add", i, i) for i in range(2)], s("xsum").on_error(s("errback"))
    ),
    "chord_nested_group": lambda s: chord(
        [group(s("add", 1, 1), s("add", 2, 2)), s("add", 3, 3)], s("identity")
    ),
    "chord_of_chains": lambda s: chord([s("add", 1, 1) | s("mul", 2), s("add", 5, 5)], s("xsum")),
    "group": lambda s: group(s("add", i, i) for i in range(3)),
    "group_of_groups": lambda s: group(group(s("add", 1, 1), s("add", 2, 2)), s("add", 3, 3)),
    "group_member_links": lambda s: group(s("add", 1, 1, link=[s("identity")]), s("add", 2, 2)),
    "link": lambda s: s("add", 1, 2, link=[s("add", 10)]),
    "link_error": lambda s: s("add", 1, 2).on_error(s("errback")),
    "link_multiple": lambda s: s(
        "add", 1, 2, link=[s("add", 10), s("mul", 2, 2).set(immutable=True)]
    ),
    "map": lambda s: xmap(s("xsum"), [[1, 2], [3, 4]], app=s("add").app),
    "starmap": lambda s: xstarmap(s("add"), [[1, 2], [3, 4]], app=s("add").app),
    "chunks": lambda s: chunks(s("add"), zip(range(6), range(6), strict=True), 3, app=s("add").app),
    "stamped": lambda s: s(
        "add", 1, 2, stamped_headers=["mtask_id", "region"], mtask_id=["id1", "id2"], region="eu"
    ),
    "stamped_signature": lambda s: stamped(s("add", 1, 2), region=["eu", "us"], mtask_id="id1"),
    "stamped_chain": lambda s: stamped(s("add", 1, 2) | s("mul", 3), mtask_id="id1"),
}


def recorded(name):
    found = []
    for message in json.loads((FIXTURES / f"{name}.json").read_text())["messages"]:
        headers = message["envelope_without_body"]["headers"]
        found.append(
            {
                "task": headers["task"],
                "id": headers["id"],
                "group": headers["group"],
                "group_index": headers["group_index"],
                "stamps": headers["stamps"],
                "body": message["decoded_body"],
            }
        )
    return found


def neutral(data):
    """Number the ids in the order in which they appear; leave local ids out."""

    def clean(value):
        if isinstance(value, dict):
            dropped = ("reply_to", "root_id", "parent_id")
            return {k: clean(v) for k, v in sorted(value.items()) if k not in dropped}
        return [clean(item) for item in value] if isinstance(value, list) else value

    seen: dict[str, str] = {}
    text = json.dumps(clean(data))
    return json.loads(UUID.sub(lambda m: seen.setdefault(m[0], f"id{len(seen)}"), text))


@pytest.mark.parametrize("name", sorted(CASES))
def test_canvas_publishes_what_celery_published(name, app, s):
    canvas = CASES[name](s)
    # As if it had been called without an id: single tasks get theirs from the application.
    canvas.freeze() if not hasattr(canvas, "tasks") and name != "chunks" else None
    canvas.apply_async()
    ours, theirs = neutral(app.messages()), neutral(recorded(name))
    assert ours == theirs


@pytest.mark.parametrize("name", sorted(CASES))
def test_canvas_survives_json_and_celerys_own_signature(name, app, s):
    celery = pytest.importorskip("celery")
    canvas = CASES[name](s)
    text = json.dumps(canvas)
    theirs = celery.Celery(set_as_current=False).signature(json.loads(text))
    from tq.canvas import maybe_signature

    again = maybe_signature(json.loads(json.dumps(theirs)), app=app)
    assert type(again) is type(maybe_signature(json.loads(text)))
    assert json.loads(json.dumps(again)) == json.loads(text)


def test_chord_size_is_written_before_any_part_is_published(app, s):
    chord([s("add", i, i) for i in range(3)], s("xsum")).apply_async()
    assert list(app.sizes_at_first_call.values()) == [3]


def test_group_members_are_published_in_one_batch(app, s):
    group(s("add", i) for i in range(50)).apply_async()
    assert app.bulk == 1
    assert len(app.calls) == 50


def test_nested_chords_are_sized_by_their_ends_and_published_in_one_batch(app, s):
    inner = chord([s("a"), s("b")], group(s("c"), s("d")))
    chord([inner, s("e") | s("f"), s("g")], s("xsum")).apply_async()
    assert app.bulk == 1
    assert sorted(c.size for c in app.backend._chords.values()) == [2, 4]
    assert [call[0] for call in app.calls] == ["tasks.a", "tasks.b", "tasks.e", "tasks.g"]
