"""Every run ends in exactly one outcome, with everything that its end sets off."""

import asyncio
import threading

import pytest

from tq import Ignore, Reject, Task, chain, chord, signals
from tq.errors import ChordError
from tq.execution import Context, current_task, run_task, run_task_async
from tq.wire.message import TaskBody

pytestmark = pytest.mark.timeout(20)


def context_for(task, *args, **more):
    return Context(id="id-1", task=task.name, args=args, kwargs={}, called_directly=False, **more)


def test_a_value_is_recorded_as_success(app, worker):
    @app.task
    def add(x, y):
        return x + y

    result = add.delay(2, 3)
    (execution,) = worker.run()
    assert execution.state == "SUCCESS"
    assert execution.result_repr == "5"
    assert result.get(timeout=1) == 5


def test_an_exception_is_recorded_with_its_traceback(app, worker):
    @app.task
    def bad():
        raise ValueError("boom")

    result = bad.delay()
    (execution,) = worker.run()
    assert execution.state == "FAILURE"
    assert 'raise ValueError("boom")' in execution.traceback
    assert "tq/execution" not in execution.traceback
    with pytest.raises(ValueError, match="boom"):
        result.get(timeout=1)


def test_a_retry_goes_out_with_the_settlement_under_the_same_id(app, worker):
    @app.task(bind=True, max_retries=2)
    def flaky(self):
        if self.request.retries < 2:
            raise self.retry(exc=ValueError("again"), countdown=5)
        return self.request.retries

    result = flaky.delay()
    states = [execution.state for execution in worker.run()]
    assert states == ["RETRY", "RETRY", "SUCCESS"]
    assert result.get(timeout=1) == 2


def test_retries_end_with_the_reason(app, worker):
    @app.task(autoretry_for=(KeyError,), max_retries=1, retry_backoff=True)
    def never():
        raise KeyError("gone")

    result = never.delay()
    assert [e.state for e in worker.run()] == ["RETRY", "FAILURE"]
    with pytest.raises(KeyError, match="gone"):
        result.get(timeout=1)


def test_a_retry_keeps_id_root_and_chain_and_has_itself_as_parent(app):
    @app.task(bind=True)
    def flaky(self):
        raise self.retry(countdown=5)

    @app.task
    def then(x):
        return x

    step = dict(then.s().set(task_id="step-2"))
    context = context_for(flaky, root_id="root", chain=[step], retries=1)
    context.delivery_info = {"exchange": "", "routing_key": "special", "priority": 4}
    execution = run_task(app, context)
    (message,) = execution.messages
    headers = message.headers
    assert (headers["id"], headers["root_id"], headers["parent_id"]) == ("id-1", "root", "id-1")
    assert (headers["retries"], message.routing_key, message.priority) == (2, "special", 4)
    assert headers["eta"]
    assert b"step-2" in message.body


@pytest.mark.parametrize(
    ("signal", "state", "reject", "recorded"),
    [
        (Ignore("no"), "IGNORED", None, False),
        (Reject("no", requeue=False), "REJECTED", False, True),
        (Reject("no", requeue=True), "REJECTED", True, False),
    ],
)
def test_ignore_and_reject(app, signal, state, reject, recorded):
    @app.task
    def steers():
        raise signal

    execution = run_task(app, context_for(steers))
    assert (execution.state, execution.reject) == (state, reject)
    assert (execution.meta is not None) is recorded
    if recorded:
        assert execution.meta.status == "FAILURE"
        assert execution.meta.result["exc_type"] == "Reject"


def test_an_ignored_result_keeps_no_record_but_errors_may(app):
    @app.task(ignore_result=True, store_errors_even_if_ignored=True)
    def sometimes(fail):
        if fail:
            raise ValueError

    assert run_task(app, context_for(sometimes, False, ignore_result=None)).meta is None
    assert run_task(app, context_for(sometimes, True, ignore_result=None)).meta is not None


def test_an_unserialisable_value_is_a_failure_that_says_so(app, worker):
    @app.task
    def odd():
        return object()

    result = odd.delay()
    (execution,) = worker.run()
    assert execution.state == "FAILURE"
    assert "returned a object that cannot be sent on" in execution.result_repr
    with pytest.raises(Exception, match="cannot be sent on"):
        result.get(timeout=1)


def test_an_unserialisable_exception_is_still_recorded(app, worker):
    class Odd(Exception):
        pass

    @app.task
    def odd():
        raise Odd(object(), threading.Lock())

    odd.delay()
    (execution,) = worker.run()
    assert execution.state == "FAILURE"
    assert execution.meta.result["exc_type"].endswith("Odd")


def test_sys_exit_in_a_task_fails_it_and_keyboard_interrupt_passes(app):
    @app.task
    def leaves(kind):
        raise kind

    assert run_task(app, context_for(leaves, SystemExit(3))).state == "FAILURE"
    with pytest.raises(KeyboardInterrupt):
        run_task(app, context_for(leaves, KeyboardInterrupt()))
    assert current_task() is None


def test_callbacks_and_chain_steps_get_the_value(app, worker):
    @app.task
    def add(x, y):
        return x + y

    linked = add.s(100).set(task_id="linked")
    result = chain(add.s(1, 2), add.s(10), add.s(20)).apply_async(link=linked)
    worker.run()
    assert result.get(timeout=1) == 33
    assert app.AsyncResult("linked").get(timeout=1) == 133


def test_children_of_a_run_are_recorded(app, worker):
    @app.task(name="inner")
    def inner():
        return 1

    @app.task
    def outer():
        return inner.delay().id

    result = outer.delay()
    worker.run()
    assert [child.id for child in result.children] == [result.get(timeout=1)]


def test_a_failed_step_fails_the_steps_behind_it(app, worker):
    @app.task
    def bad():
        raise ValueError("first")

    @app.task
    def after(x):
        return x

    result = chain(bad.s(), after.s(), after.s()).apply_async()
    worker.run()
    assert [r.state for r in (result, result.parent, result.parent.parent)] == ["FAILURE"] * 3


def test_errbacks_of_both_signatures_are_called(app, worker):
    seen = []

    @app.task
    def bad():
        raise ValueError("boom")

    @app.task
    def old(task_id):
        seen.append(("old", task_id))

    @app.task
    def new(request, exc, traceback):
        seen.append(("new", request.id, str(exc), "ValueError" in traceback))

    result = bad.apply_async(link_error=[old.s(), new.s()])
    worker.run()
    assert ("new", result.id, "boom", True) in seen
    assert ("old", result.id) in seen


def test_a_chord_runs_its_body_once_with_all_values(app, worker):
    @app.task
    def double(x):
        return x * 2

    @app.task
    def total(values):
        return sum(values)

    result = chord([double.s(i) for i in range(5)], total.s()).apply_async()
    done = worker.run()
    assert result.get(timeout=1) == 20
    assert [e.name for e in done].count(total.name) == 1


def test_a_failed_part_fails_the_chords_body(app, worker):
    @app.task
    def part(x):
        return 1 / x

    @app.task
    def total(values):
        return sum(values)

    result = chord([part.s(1), part.s(0)], total.s()).apply_async()
    worker.run()
    assert result.state == "FAILURE"
    assert isinstance(result.result, ChordError)
    assert "ZeroDivisionError" in str(result.result)


def test_replace_continues_under_the_same_id(app, worker):
    @app.task
    def add(x, y):
        return x + y

    @app.task(bind=True)
    def delegates(self):
        raise self.replace(add.s(20, 22))

    result = chain(delegates.s(), add.s(1)).apply_async()
    worker.run()
    assert result.get(timeout=1) == 43
    assert result.parent.get(timeout=1) == 42


def test_handlers_and_signals_follow_in_celerys_order(app):
    calls = []

    class Watched(Task):
        def before_start(self, task_id, args, kwargs):
            calls.append("before_start")

        def on_success(self, retval, task_id, args, kwargs):
            calls.append("on_success")

        def on_failure(self, exc, task_id, args, kwargs, einfo):
            calls.append("on_failure")

        def after_return(self, status, retval, task_id, args, kwargs, einfo):
            calls.append(f"after_return {status}")

    @app.task(base=Watched)
    def work(fail):
        if fail:
            raise ValueError

    def note(signal, **named):
        calls.append(signal.name)

    watched = (
        signals.task_prerun,
        signals.task_success,
        signals.task_failure,
        signals.task_postrun,
    )
    for signal in watched:
        signal.connect(note)
    try:
        run_task(app, context_for(work, False))
        run_task(app, context_for(work, True))
    finally:
        for signal in watched:
            signal.disconnect(note)
    assert calls == [
        "task_prerun",
        "before_start",
        "on_success",
        "task_success",
        "after_return SUCCESS",
        "task_postrun",
        "task_prerun",
        "before_start",
        "on_failure",
        "task_failure",
        "after_return FAILURE",
        "task_postrun",
    ]


def test_a_raising_handler_does_not_change_the_outcome(app, caplog):
    class Careless(Task):
        def on_success(self, retval, task_id, args, kwargs):
            raise RuntimeError("careless")

    @app.task(base=Careless)
    def work():
        return 1

    assert run_task(app, context_for(work)).state == "SUCCESS"
    assert "careless" in caplog.text


def test_waiting_inside_a_task_is_refused(app):
    @app.task
    def waits():
        app.AsyncResult("other").get(timeout=1)

    assert "Never call result.get()" in run_task(app, context_for(waits)).result_repr


def test_started_is_recorded_where_it_is_tracked(app):
    @app.task(track_started=True)
    def work():
        return app.AsyncResult("id-1").state

    assert run_task(app, context_for(work)).retval == "STARTED"


def test_coroutines_run_to_their_end_on_one_loop_per_thread(app):
    @app.task
    async def work():
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    first, second = (run_task(app, context_for(work)) for _ in range(2))
    assert first.state == "SUCCESS"
    assert first.retval == second.retval


def test_an_interrupt_of_the_waiting_loop_is_raised_where_the_coroutine_awaits(app):
    import signal

    from tq.errors import SoftTimeLimitExceeded

    def interrupt(signum, frame):
        raise SoftTimeLimitExceeded(0.05)

    @app.task
    async def slow():
        try:
            await asyncio.sleep(30)
        except SoftTimeLimitExceeded as exc:
            return f"cleaned up after {exc}"

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        execution = run_task(app, context_for(slow))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert execution.retval == "cleaned up after 0.05"


async def test_run_task_async_awaits_coroutines_and_threads_functions(app):
    here = threading.get_ident()

    @app.task
    async def awaited():
        await asyncio.sleep(0)
        return threading.get_ident()

    @app.task
    def threaded():
        return threading.get_ident()

    first = await run_task_async(app, context_for(awaited))
    second = await run_task_async(app, context_for(threaded))
    assert first.retval == here
    assert second.retval != here


def test_the_context_shows_the_call(app):
    seen = {}

    @app.task(bind=True)
    def look(self, x):
        request = self.request
        seen.update(id=request.id, args=request.args, eager=request.is_eager, task=current_task())

    run_task(app, context_for(look, 5), TaskBody(args=[5]))
    assert seen["id"] == "id-1"
    assert seen["eager"] is False
    assert seen["task"] is look
    assert look.request.id is None
