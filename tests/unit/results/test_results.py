"""What a caller sees of a result."""

import pickle

import pytest

from tq.backends.memory import MemoryBackend
from tq.errors import DecodeError, IncompleteStream, RemoteError, ResultTimeout
from tq.results import (
    AsyncResult,
    EagerResult,
    GroupResult,
    ResultSet,
    allow_join_result,
    denied_join_result,
    result_from_tuple,
)
from tq.wire.result import ResultMeta, encode_exception


class App:
    """An application with a memory backend that counts reads, and a control that remembers."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.control = self
        self.revoked = []
        self.reads = 0
        fetch = self.backend.fetch

        def counted(ids):
            self.reads += 1
            return fetch(ids)

        self.backend.fetch = counted

    def revoke(self, task_id, **options):
        self.revoked.append((task_id, options))

    def succeed(self, task_id, value=None, children=()):
        record = ResultMeta(
            task_id=task_id, status="SUCCESS", result=value, children=list(children)
        )
        self.backend.store([record])

    def fail(self, task_id, exc):
        record = ResultMeta(task_id=task_id, status="FAILURE", result=encode_exception(exc))
        self.backend.store([record])


@pytest.fixture
def app():
    return App()


def test_unknown_task_is_pending(app):
    result = AsyncResult("a", app=app)
    assert (result.state, result.result, result.ready(), result.exists()) == (
        "PENDING",
        None,
        False,
        False,
    )


def test_final_record_is_read_once(app):
    app.succeed("a", 1)
    result = AsyncResult("a", app=app)
    assert [result.get(), result.state, result.result, result.get()] == [1, "SUCCESS", 1, 1]
    assert app.reads == 1


def test_progress_is_read_each_time(app):
    result = AsyncResult("a", app=app)
    for done in (1, 2):
        app.backend.store([ResultMeta(task_id="a", status="PROGRESS", result={"done": done})])
        assert (result.state, result.info) == ("PROGRESS", {"done": done})


def test_failure_is_raised_or_returned(app):
    app.fail("a", ValueError("no"))
    result = AsyncResult("a", app=app)
    with pytest.raises(ValueError, match="no"):
        result.get()
    assert isinstance(result.get(propagate=False), ValueError)
    assert result.failed()


def test_exception_of_an_unknown_class_is_never_imported(app):
    record = {"exc_type": "system", "exc_module": "os", "exc_message": ["rm"]}
    app.backend.store([ResultMeta(task_id="a", status="FAILURE", result=record)])
    with pytest.raises(RemoteError) as caught:
        AsyncResult("a", app=app).get()
    assert caught.value.exc_type == "system"


def test_failure_without_an_exception_is_still_raised(app):
    app.backend.store([ResultMeta(task_id="a", status="FAILURE", result="just text")])
    with pytest.raises(RemoteError, match="just text"):
        AsyncResult("a", app=app).get()


def test_failed_parent_ends_the_wait(app):
    app.fail("first", KeyError("k"))
    result = AsyncResult("second", app=app, parent=AsyncResult("first", app=app))
    with pytest.raises(KeyError):
        result.get(timeout=5)
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.01, follow_parents=False)


def test_waiting_inside_a_task_is_refused_unless_allowed(app):
    app.succeed("a", 1)
    with denied_join_result():
        with pytest.raises(RuntimeError, match=r"result\.get"):
            AsyncResult("a", app=app).get()
        with pytest.raises(RuntimeError):
            ResultSet([AsyncResult("a", app=app)]).get()
        assert AsyncResult("a", app=app).get(disable_sync_subtasks=False) == 1
        with allow_join_result():
            assert AsyncResult("a", app=app).get() == 1
    assert AsyncResult("a", app=app).get() == 1


def test_ignored_result_is_none_at_once(app):
    result = AsyncResult("a", app=app)
    result.ignored = True
    assert result.get() is None


def test_on_message_sees_records_as_dictionaries(app):
    app.succeed("a", 1)
    seen = []
    AsyncResult("a", app=app).get(on_message=seen.append)
    assert (seen[0]["status"], seen[0]["result"], seen[0]["task_id"]) == ("SUCCESS", 1, "a")


def test_tuple_form_round_trips_with_parents_and_groups(app):
    group = GroupResult("G", [AsyncResult("a"), AsyncResult("b")], parent=AsyncResult("p"))
    form = AsyncResult("last", parent=group).as_tuple()
    again = result_from_tuple(form, app)
    assert again.as_tuple() == form
    assert [again.parent.id, again.parent.parent.id] == ["G", "p"]
    assert again.parent.results == [AsyncResult("a"), AsyncResult("b")]


def test_chain_of_thousands_of_parents_is_no_recursion(app):
    form = None
    for number in range(5000):
        form = ((f"t{number}", form), None)
    result = result_from_tuple(form, app)
    assert len(result.as_list()) == 5000
    assert result_from_tuple(result.as_tuple(), app).as_list() == result.as_list()


@pytest.mark.parametrize("form", [7, "text", [1], [["a", None]], [[None, None], None], [{}, None]])
def test_what_is_no_tuple_form_is_one_clear_error(form):
    with pytest.raises(DecodeError, match="tuple form"):
        result_from_tuple(form)


def test_endless_nesting_of_groups_is_refused():
    form = [["x", None], None]
    for number in range(500):
        form = [[f"g{number}", None], [form]]
    with pytest.raises(DecodeError):
        result_from_tuple(form)


def test_children_are_walked_and_collected(app):
    app.succeed("kid1", 1)
    app.succeed("kid2", 2)
    app.succeed(
        "root", 0, [AsyncResult("kid1").as_tuple(), [["G", None], [[["kid2", None], None]]]]
    )
    root = AsyncResult("root", app=app)
    assert [str(node) for _, node in root.iterdeps()] == ["root", "kid1", "G", "kid2"]
    assert [value for node, value in root.collect() if not node.children] == [1, 2]
    assert root.graph[root] == [AsyncResult("kid1"), root.children[1]]
    assert '"root" -> "kid1"' in root.graph.to_dot()
    assert root.get_leaf() == 2


def test_tree_that_is_not_done_says_so(app):
    with pytest.raises(IncompleteStream):
        list(AsyncResult("a", app=app).iterdeps())
    assert len(list(AsyncResult("a", app=app).iterdeps(intermediate=True))) == 1


def test_set_is_read_in_one_round_trip(app):
    for number in range(100):
        app.succeed(f"t{number}", number)
    results = ResultSet([AsyncResult(f"t{n}", app=app) for n in range(101)], app=app)
    assert results.completed_count() == 100
    assert app.reads == 1
    assert (results.ready(), results.waiting(), results.failed()) == (False, True, False)


def test_set_keeps_order_nesting_and_repeated_ids(app):
    for name in "abc":
        app.succeed(name, name.upper())
    nested = GroupResult("G", [AsyncResult("b", app=app), AsyncResult("c", app=app)])
    results = ResultSet([AsyncResult("a", app=app), nested, AsyncResult("a", app=app)], app=app)
    assert results.get(timeout=5) == ["A", ["B", "C"], "A"]


def test_set_raises_the_first_failure_and_calls_back_each_value(app):
    app.succeed("a", 1)
    app.fail("b", ValueError("b"))
    members = [AsyncResult("a", app=app), AsyncResult("b", app=app)]
    with pytest.raises(ValueError, match="b"):
        ResultSet(members, app=app).get(timeout=5)
    seen = []
    fresh = [AsyncResult("a", app=app), AsyncResult("b", app=app)]
    ResultSet(fresh, app=app).get(
        timeout=5, propagate=False, callback=lambda *pair: seen.append(pair[0])
    )
    assert sorted(seen) == ["a", "b"]


def test_iter_native_yields_as_they_end(app):
    app.succeed("b", 2)
    results = ResultSet([AsyncResult("a", app=app), AsyncResult("b", app=app)], app=app)
    found = []
    for task_id, record in results.iter_native(timeout=5):
        found.append((task_id, record["result"]))
        if task_id == "b":
            app.succeed("a", 1)
    assert found == [("b", 2), ("a", 1)]


def test_then_is_called_when_all_have_ended(app):
    seen = []
    results = ResultSet([AsyncResult("a", app=app), AsyncResult("b", app=app)], app=app)
    results.then(seen.append)
    app.succeed("a")
    assert seen == []
    app.succeed("b")
    assert seen == [results]


async def test_await_gives_values_in_order(app):
    results = ResultSet([AsyncResult("a", app=app), AsyncResult("b", app=app)], app=app)
    app.succeed("b", 2)
    app.succeed("a", 1)
    assert await results == [1, 2]


def test_group_is_saved_and_restored(app):
    GroupResult("G", [AsyncResult("a", app=app)], app=app).save()
    found = GroupResult.restore("G", app=app)
    assert (found.id, found.results) == ("G", [AsyncResult("a")])
    found.delete(app.backend)
    assert GroupResult.restore("G", app=app) is None


def test_members_are_added_and_removed(app):
    results = ResultSet([AsyncResult("a")])
    results.add(AsyncResult("a"))
    results.update([AsyncResult("a"), AsyncResult("b")])
    results.remove("a")
    results.discard("missing")
    assert results.results == [AsyncResult("b")]
    with pytest.raises(KeyError):
        results.remove("missing")


def test_revoke_of_a_set_is_one_command(app):
    group = GroupResult("G", [AsyncResult("a", app=app), AsyncResult("b", app=app)], app=app)
    group.revoke(terminate=True, signal="KILL")
    options = {"terminate": True, "signal": "KILL", "reply": False, "timeout": None}
    assert app.revoked == [(["a", "b"], options)]


def test_forget_drops_the_record_and_what_was_remembered(app):
    app.succeed("a", 1)
    result = AsyncResult("a", app=app)
    result.get()
    result.forget()
    assert result.state == "PENDING"


def test_results_pickle_without_their_application(app):
    result = AsyncResult("a", app=app, parent=AsyncResult("p"))
    again = pickle.loads(pickle.dumps(result))
    assert (again, again.parent) == (result, AsyncResult("p"))
    group = pickle.loads(pickle.dumps(GroupResult("G", [result])))
    assert group.results == [result]


def test_eager_result_is_there_at_once():
    assert EagerResult("a", 5, "SUCCESS").get() == 5
    with pytest.raises(KeyError):
        EagerResult("a", KeyError("k"), "FAILURE").get()
    result = EagerResult("a", 5, "SUCCESS")
    result.revoke()
    assert result.state == "REVOKED"
