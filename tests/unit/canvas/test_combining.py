"""What `|`, partials and links mean."""

import json
import pickle

import pytest

from tq.canvas import (
    Signature,
    chain,
    chord,
    dispatch_body,
    group,
    maybe_signature,
    sender,
    signature,
)
from tq.errors import ChordError, ConfigError
from tq.results import AsyncResult, GroupResult
from tq.wire.result import ResultMeta


def names(canvas):
    if isinstance(canvas, Signature) and "tasks" in canvas["kwargs"]:
        return [names(step) for step in canvas.tasks]
    if canvas["subtask_type"] == "chord":
        return {"header": [names(part) for part in canvas.tasks], "body": names(canvas.body)}
    return canvas.task.removeprefix("tasks.")


def test_partial_arguments_go_in_front(app, s):
    s("add", 2).apply_async((1,))
    assert app.calls[0][1] == (1, 2)


def members_of(canvas):
    yield canvas
    for inner in canvas.tasks if "tasks" in canvas["kwargs"] else ():
        yield from members_of(inner)
    if canvas["subtask_type"] == "chord":
        for inner in (*canvas.tasks, canvas.body):
            yield from members_of(inner)


def test_every_level_of_a_dictionary_belongs_to_the_app_that_reads_it(app, s):
    inner = chord([s("a"), chain(s("b"), s("c"))], s("d") | s("e"))
    made = json.loads(json.dumps(chain(s("f"), group(s("g"), inner))))
    found = list(members_of(signature(made, app=app)))
    assert len(found) == 12
    assert {id(member.own_app) for member in found} == {id(app)}


def test_links_of_a_part_leave_the_signature_it_was_made_of_alone(s):
    given = s("a")
    made = chord([given], s("b"))
    for part in made.tasks:
        part.link_error(s("c"))
    assert "link_error" in made.tasks[0].options
    assert given == s("a")


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (list, []),
        (lambda: [group([])], []),
        (lambda: [group([]), group([group([])])], []),
        (lambda: [chain(group([]), immutable=True)], [[]]),
    ],
)
def test_body_starts_where_the_header_has_nothing_to_run(app, s, header, values):
    chord(header(), s("sum"), app=app).apply_async()
    assert [(call[0], call[1]) for call in app.calls] == [("tasks.sum", (values,))]
    assert app.backend._chords == {}


def test_immutable_signature_ignores_arguments(app, s):
    s("add", 2).set(immutable=True).apply_async((1,))
    assert app.calls[0][1] == (2,)


def test_clone_can_be_linked_without_changing_the_original(s):
    original = s("add", 1, link=[s("a")])
    copy = original.clone()
    copy.link(s("b"))
    copy.options["link"][0].set(queue="other")
    assert original.options["link"] == [s("a")]


def test_or_builds_flat_chains(s):
    assert names(s("a") | s("b") | (s("c") | s("d"))) == ["a", "b", "c", "d"]


def test_group_then_task_is_a_chord(s):
    assert names(group(s("a"), s("b")) | s("c")) == {"header": ["a", "b"], "body": "c"}


def test_what_follows_a_chord_joins_its_body(s):
    joined = group(s("a"), s("b")) | s("c") | s("d")
    assert names(joined) == {"header": ["a", "b"], "body": ["c", "d"]}


def test_group_of_one_in_a_chain_is_its_member(s):
    assert names(s("a") | group([s("b")]) | s("c")) == ["a", "b", "c"]


def test_empty_group_in_a_chain_is_nothing(s):
    assert names(chain(s("a"), group([]), s("b"))) == ["a", "b"]


def test_chain_of_one_sends_it_with_the_arguments(app, s):
    chain([s("a", 2)]).apply_async((1,))
    assert app.calls[0][:2] == ("tasks.a", (1, 2))


def test_chain_results_are_linked_to_their_parents(app, s):
    result = (s("a") | s("b") | s("c")).apply_async()
    steps = [call[3] for call in app.calls]
    ids = [step.id for step in steps[0]["chain"]]
    assert [result.id, result.parent.id, result.parent.parent.id] == [*ids, steps[0]["task_id"]]


def test_result_after_chord_has_the_header_as_ancestor(app, s):
    result = chain(s("z"), group(s("a"), s("b")), s("c"), s("d")).apply_async()
    assert isinstance(result.parent.parent, GroupResult)
    assert result.parent.parent.parent.id == app.calls[0][3]["task_id"]


def test_group_inside_a_task_becomes_its_child(app, s):
    result = group(s("a"), s("b")).apply_async()
    assert app.trail == [result]


def test_group_refuses_links(s):
    with pytest.raises(TypeError, match="chord"):
        group(s("a")).apply_async(link=s("b"))


def test_options_of_a_chord_reach_header_and_body(app, s):
    chord([s("a")], s("b")).apply_async(queue="q", countdown=5)
    options = app.calls[0][3]
    assert (options["queue"], options["countdown"]) == ("q", 5)
    assert options["chord"].options["queue"] == "q"
    assert "countdown" not in options["chord"].options


def test_empty_header_starts_the_body_at_once(app, s):
    chord([], s("xsum")).apply_async()
    assert app.calls[0][:2] == ("tasks.xsum", ([],))


def test_skew_spreads_the_start(s):
    members = group(s("a"), s("b"), s("c"), s("d")).skew(start=1, stop=3).tasks
    assert [member.options["countdown"] for member in members] == [1, 2, 3, 3]


def test_eager_chain_and_chord_run_here(app):
    app.conf.task_always_eager = True
    app.register("add", lambda a, b: a + b)
    app.register("xsum", sum)

    def call(name, *args):
        return signature(name, args=args, app=app)

    header = [call("add", i, i) for i in range(3)]
    assert chain(call("add", 1, 1), call("add", 2)).apply_async().get() == 4
    assert chord(header, call("xsum")).apply_async().get() == 6
    assert (group(header) | call("xsum") | call("add", 1)).apply_async().get() == 7


def test_signature_pickles(s):
    assert pickle.loads(pickle.dumps(s("a", 1))) == s("a", 1)


def test_without_an_application_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sender, "_provider", None)
    with pytest.raises(ConfigError, match="app="):
        Signature("a").apply_async()


def test_freeze_before_apply_keeps_the_id(app, s):
    sig = chord([s("a"), s("b")], s("c"))
    frozen = sig.freeze()
    assert sig.apply_async().id == frozen.id
    assert {call[3]["task_id"] for call in app.calls} == {t.id for t in frozen.parent.results}


# -- the body of a chord ----------------------------------------------------------------------


def finish_header(app, body, outcomes):
    """Count a part for each (id, state, result), and return the group id and the claim."""
    backend = app.backend
    backend.set_chord_size("G", len(outcomes))
    claim = None
    for index, (task_id, state, result) in enumerate(outcomes):
        meta = ResultMeta(task_id=task_id, status=state, result=result)
        claim = backend.count_chord_part(backend.chord_part("G", meta, index))
    return claim


def test_body_gets_the_results_in_header_order(app, s):
    body = s("xsum")
    body.freeze("body", group_id="G")
    claim = finish_header(app, body, [("a", "SUCCESS", 1), ("b", "SUCCESS", 2)])
    assert dispatch_body(app, app.backend, "G", dict(body), claim, root_id="r", parent_id="b")
    name, args, _, options = app.calls[0]
    assert (name, args) == ("tasks.xsum", ([1, 2],))
    assert (options["task_id"], options["root_id"], options["parent_id"]) == ("body", "r", "b")


def test_body_is_sent_once_although_dispatched_twice(app, s):
    body = s("xsum")
    body.freeze("body")
    claim = finish_header(app, body, [("a", "SUCCESS", 1)])
    assert dispatch_body(app, app.backend, "G", body, claim)
    assert not dispatch_body(app, app.backend, "G", body, claim)
    assert len(app.calls) == 1


def test_failed_part_fails_body_and_the_rest_of_its_chain_and_runs_errbacks(app, s):
    body = s("xsum").on_error(s("errback"))
    body.freeze("body")
    body.options["chain"] = [s("after", task_id="after")]
    failure = {"exc_type": "ValueError", "exc_message": ["hdr"], "exc_module": "builtins"}
    claim = finish_header(app, body, [("a", "SUCCESS", 1), ("b", "FAILURE", failure)])
    dispatch_body(app, app.backend, "G", body, claim)
    for task_id in ("body", "after"):
        with pytest.raises(ChordError, match=r"Dependency b raised ValueError\('hdr'\)"):
            AsyncResult(task_id, app=app).get(timeout=1)
    assert [(call[0], call[1]) for call in app.calls] == [("tasks.errback", ("body",))]


def test_failed_part_fails_every_member_of_a_group_body(app, s):
    body = group(s("a"), s("b"))
    body.freeze("body")
    failure = {"exc_type": "ValueError", "exc_message": ["hdr"], "exc_module": "builtins"}
    claim = finish_header(app, body, [("x", "FAILURE", failure)])
    dispatch_body(app, app.backend, "G", maybe_signature(dict(body)), claim)
    assert {AsyncResult(m.id, app=app).state for m in body.tasks} == {"FAILURE"}


def test_saved_group_gives_the_body_nested_results(app, s):
    body = s("xsum")
    body.freeze("body")
    nested = GroupResult(
        "G", [GroupResult("H", [AsyncResult("a"), AsyncResult("b")]), AsyncResult("c")]
    )
    nested.save(app.backend)
    claim = finish_header(
        app, body, [("c", "SUCCESS", 3), ("b", "SUCCESS", 2), ("a", "SUCCESS", 1)]
    )
    dispatch_body(app, app.backend, "G", body, claim)
    assert app.calls[0][1] == ([[1, 2], 3],)
