"""The rules of PROTOCOL 6, decided without doing anything."""

import signal
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.unit.worker.conftest import make_delivery, read_record
from tq.brokers.base import Delivery, Message, Settlement
from tq.errors import NotRegistered, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from tq.pools.base import Accepted, Finished, Lost, Outcome, Returned, TimedOut
from tq.worker.dispatcher import PARKED_LIMIT, Dispatcher
from tq.worker.effects import Effects
from tq.worker.outcome import REQUEUE, UNREADABLE, Record, decode_assignment, encode_record
from tq.worker.request import TaskPolicy

NOW = 1_800_000_000.0


def iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


def finished(tag: str, record: Record, *, settled: bool = True) -> Finished:
    return Finished(tag, Outcome(tag, encode_record(record), settled))


def accepted(tag: str, at: float = NOW) -> Accepted:
    return Accepted(tag, 77, at)


def test_a_known_task_is_submitted_with_its_delivery_and_limits(dispatcher: Dispatcher) -> None:
    actions = dispatcher.accept([make_delivery(timelimit=(30.0, 20.0))], NOW)

    (job,) = actions.submit
    assert (job.id, job.hard_limit, job.soft_limit) == ("tag-id-1", 30.0, 20.0)
    assignment = decode_assignment(job.payload)
    assert assignment.headers.task == "proj.add"
    assert assignment.body.startswith(b"[[2,3]") or assignment.body.startswith(b"[[2, 3]")
    assert [request.id for request in dispatcher.reserved()] == ["id-1"]


def test_limits_of_the_message_win_over_the_task_and_the_worker() -> None:
    policy = TaskPolicy(name="proj.add", soft_limit=5.0, hard_limit=6.0)
    dispatcher = Dispatcher(
        {"proj.add": policy, "proj.bare": TaskPolicy(name="proj.bare")}.get,
        lambda event: (Record(""), None),
        soft_limit=50.0,
        hard_limit=60.0,
    )
    actions = dispatcher.accept(
        [
            make_delivery(task_id="a", timelimit=(3.0, None)),
            make_delivery("proj.bare", "b"),
        ],
        NOW,
    )
    assert [(job.soft_limit, job.hard_limit) for job in actions.submit] == [
        (5.0, 3.0),
        (50.0, 60.0),
    ]


def test_an_unknown_task_ends_as_a_failure_and_is_told(dispatcher: Dispatcher) -> None:
    actions = dispatcher.accept([make_delivery("no.such.task")], NOW)

    (conclusion,) = actions.conclude
    assert conclusion.state == "FAILURE"
    assert isinstance(conclusion.error, NotRegistered)
    assert conclusion.error.args == ("no.such.task",)
    assert [report.kind for report in actions.reports] == ["unknown"]
    assert not actions.submit
    assert not dispatcher.requests


@pytest.mark.parametrize(
    "message",
    [
        Message(body=b"[[], {}, {}]", headers={"task": None, "id": "x"}),
        Message(body=b"[[], {}, {}]", headers={"task": ["a"], "id": "x"}),
        Message(body=b"[]", headers={}),
        Message(body=b"\xff\xfe", headers={}),
    ],
)
def test_a_message_that_is_no_task_is_buried_with_its_reason(
    dispatcher: Dispatcher, message: Message
) -> None:
    actions = dispatcher.accept([Delivery(tag="t", queue="celery", message=message)], NOW)

    ((tag, reason),) = actions.bury
    assert tag == "t"
    assert reason
    assert dispatcher.buried[reason] == 1
    assert not actions.submit


def test_a_message_nothing_was_prepared_for_is_buried_and_the_next_one_accepted() -> None:
    def policy(name: str) -> TaskPolicy | None:
        if name == "proj.odd":
            raise RuntimeError("a bug, or a trick nobody thought of")
        return TaskPolicy(name=name)

    dispatcher = Dispatcher(policy, read_record)
    odd, good = make_delivery("proj.odd", "id-1"), make_delivery("proj.add", "id-2")
    actions = dispatcher.accept([odd, good], 1000.0)
    assert actions.bury == [(odd.tag, "unprocessable")]
    assert [job.id for job in actions.submit] == [good.tag]


def test_a_bad_message_does_not_hold_up_the_next(dispatcher: Dispatcher) -> None:
    bad = Delivery(tag="bad", queue="celery", message=Message(body=b"?", headers={}))
    actions = dispatcher.accept([bad, make_delivery()], NOW)
    assert [job.id for job in actions.submit] == ["tag-id-1"]


def test_a_task_with_a_future_eta_is_parked_until_then(dispatcher: Dispatcher) -> None:
    actions = dispatcher.accept([make_delivery(eta=iso(NOW + 60))], NOW)

    assert actions.park == [("tag-id-1", pytest.approx(NOW + 60))]
    assert not actions.submit
    assert [until for until, _ in dispatcher.scheduled(NOW)] == [pytest.approx(NOW + 60)]


def test_a_parked_task_that_comes_back_runs_and_leaves_the_schedule(
    dispatcher: Dispatcher,
) -> None:
    dispatcher.accept([make_delivery(eta=iso(NOW + 60))], NOW)
    actions = dispatcher.accept([make_delivery(eta=iso(NOW + 60), tag="other")], NOW + 60.1)

    assert [job.id for job in actions.submit] == ["other"]
    assert not dispatcher.scheduled(NOW + 60.1)


def test_parked_tasks_are_remembered_within_a_bound(dispatcher: Dispatcher) -> None:
    many = [
        make_delivery(task_id=f"id-{number}", eta=iso(NOW + 60))
        for number in range(PARKED_LIMIT + 10)
    ]
    actions = dispatcher.accept(many, NOW)
    assert len(actions.park) == PARKED_LIMIT + 10
    assert len(dispatcher.parked) == PARKED_LIMIT


@pytest.mark.parametrize("field", ["eta", "expires"])
def test_a_time_that_cannot_be_read_never_reaches_the_pool(
    dispatcher: Dispatcher, field: str
) -> None:
    actions = dispatcher.accept([make_delivery(**{field: "yesterday, or so"})], NOW)
    assert not actions.submit
    assert [tag for tag, _ in actions.bury] == ["tag-id-1"]


def test_an_expired_task_is_revoked_and_remembered(dispatcher: Dispatcher) -> None:
    actions = dispatcher.accept([make_delivery(expires=iso(NOW - 1))], NOW)

    (conclusion,) = actions.conclude
    assert (conclusion.state, conclusion.error.args) == ("REVOKED", ("expired",))
    assert actions.reports[0].fields == {"terminated": False, "signum": None, "expired": True}
    assert "id-1" in dispatcher.revoked


def test_a_revoked_id_is_not_run(dispatcher: Dispatcher) -> None:
    dispatcher.revoked.add(["id-1"], NOW)
    actions = dispatcher.accept([make_delivery(), make_delivery(task_id="id-2")], NOW)

    (conclusion,) = actions.conclude
    assert isinstance(conclusion.error, TaskRevokedError)
    assert conclusion.error.args == ("revoked",)
    assert [job.id for job in actions.submit] == ["tag-id-2"]


@pytest.mark.parametrize("stamp", ["blue", ["red", "blue"]])
def test_a_revoked_stamp_is_not_run(dispatcher: Dispatcher, stamp: Any) -> None:
    dispatcher.revoked_stamps.add({"colour": ["blue", "green"]}, NOW)
    stamped = make_delivery(stamped_headers=["colour"], stamps={"colour": stamp})
    actions = dispatcher.accept([stamped, make_delivery(task_id="id-2")], NOW)

    assert [conclusion.request.id for conclusion in actions.conclude] == ["id-1"]
    assert [job.id for job in actions.submit] == ["tag-id-2"]


def test_a_task_over_its_rate_is_parked_and_holds_up_nobody(dispatcher: Dispatcher) -> None:
    dispatcher.set_rate("proj.add", 1.0)
    dispatcher._policy = lambda name: TaskPolicy(name=name)
    actions = dispatcher.accept(
        [
            make_delivery(task_id="a"),
            make_delivery(task_id="b"),
            make_delivery(task_id="c"),
            make_delivery("proj.other", "d"),
        ],
        NOW,
    )
    assert [job.id for job in actions.submit] == ["tag-a", "tag-d"]
    assert [(tag, round(when - NOW)) for tag, when in actions.park] == [("tag-b", 1), ("tag-c", 2)]


def test_received_is_told_only_when_somebody_listens(dispatcher: Dispatcher) -> None:
    assert not dispatcher.accept([make_delivery(task_id="a")], NOW).reports
    dispatcher.reports = True
    actions = dispatcher.accept([make_delivery(task_id="b")], NOW)
    assert [report.kind for report in actions.reports] == ["received"]


def test_a_task_that_starts_is_active_and_counted(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    dispatcher.collected([accepted("tag-id-1")], NOW)

    (request,) = dispatcher.active()
    assert (request.pid, request.time_start) == (77, NOW)
    assert dispatcher.total == {"proj.add": 1}
    assert not dispatcher.reserved()


def test_an_early_ack_is_settled_when_the_task_starts(policies: dict[str, TaskPolicy]) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", acks_late=False)
    dispatcher = Dispatcher(policies.get, lambda event: (Record("SUCCESS"), None))
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([accepted("tag-id-1")], NOW)

    assert [item.settlement for item in actions.effects] == [
        Settlement(tag="tag-id-1", started=True)
    ]
    assert dispatcher.active()[0].acknowledged


def test_an_early_ack_is_left_to_children_that_settle(policies: dict[str, TaskPolicy]) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", acks_late=False)
    dispatcher = Dispatcher(
        policies.get, lambda event: (Record("SUCCESS"), None), settles_itself=True
    )
    dispatcher.accept([make_delivery()], NOW)
    assert not dispatcher.collected([accepted("tag-id-1")], NOW).effects


def test_effects_left_to_the_worker_are_passed_on(policies: dict[str, TaskPolicy]) -> None:
    effects = Effects(Settlement(tag="tag-id-1"))
    dispatcher = Dispatcher(policies.get, lambda event: (Record("SUCCESS"), effects))
    dispatcher.accept([make_delivery()], NOW)
    record = Record("SUCCESS", 0.1, "5")
    actions = dispatcher.collected([accepted("tag-id-1"), finished("tag-id-1", record)], NOW)

    assert actions.effects == [effects]
    assert not dispatcher.requests
    assert dispatcher.processed == 1


@pytest.mark.parametrize(("settled", "field"), [(True, "forget"), (False, "ack")])
def test_what_a_child_has_recorded_is_only_acknowledged_if_the_child_did_not(
    dispatcher: Dispatcher, settled: bool, field: str
) -> None:
    dispatcher.accept([make_delivery()], NOW)
    done = finished("tag-id-1", Record("SUCCESS"), settled=settled)
    actions = dispatcher.collected([done], NOW)
    assert (actions.forget, actions.ack) == (
        (["tag-id-1"], []) if field == "forget" else ([], ["tag-id-1"])
    )


def test_an_unreadable_body_is_buried_with_its_reason(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    record = Record(UNREADABLE, None, "bad_json", "not JSON")
    actions = dispatcher.collected([finished("tag-id-1", record, settled=False)], NOW)
    assert actions.bury == [("tag-id-1", "bad_json")]
    assert dispatcher.buried == {"bad_json": 1}
    assert [report.kind for report in actions.reports] == ["unreadable"]


def test_a_cold_stop_gives_back_what_it_cuts_off(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    dispatcher.collected([accepted("tag-id-1")], NOW)
    dispatcher.cancelling = True
    actions = dispatcher.collected([Lost("tag-id-1", -9)], NOW)
    assert actions.requeue == ["tag-id-1"]
    assert [report.kind for report in actions.reports] == ["cancelled"]


def test_a_cold_stop_records_retry_for_what_was_acknowledged(
    policies: dict[str, TaskPolicy],
) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", acks_late=False)
    dispatcher = Dispatcher(policies.get, read_record)
    dispatcher.accept([make_delivery()], NOW)
    dispatcher.collected([accepted("tag-id-1")], NOW)
    dispatcher.cancelling = True
    actions = dispatcher.collected([Lost("tag-id-1", -9)], NOW)
    assert [conclusion.state for conclusion in actions.conclude] == ["RETRY"]
    assert not actions.requeue


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("FAILURE", "failed"),
        ("RETRY", "retried"),
        ("IGNORED", "ignored"),
        ("REJECTED", "rejected"),
        ("REVOKED", "revoked"),
    ],
)
def test_whatever_is_no_success_is_told_even_if_nobody_listens(
    dispatcher: Dispatcher, state: str, kind: str
) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([finished("tag-id-1", Record(state))], NOW)
    assert [report.kind for report in actions.reports] == [kind]


def test_a_rejected_task_that_is_to_be_requeued_goes_back(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    record = Record("REJECTED", requeue=True)
    actions = dispatcher.collected([finished("tag-id-1", record, settled=False)], NOW)
    assert actions.requeue == ["tag-id-1"]


def test_an_outcome_that_asks_for_requeue_goes_back(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([finished("tag-id-1", Record(REQUEUE), settled=False)], NOW)
    assert actions.requeue == ["tag-id-1"]
    assert [report.kind for report in actions.reports] == ["requeued"]


def test_a_lost_lease_is_counted(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    dispatcher.collected([finished("tag-id-1", Record("SUCCESS", lost=True))], NOW)
    assert dispatcher.lost_leases == 1


def test_a_task_whose_process_died_goes_back_to_its_queue(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([accepted("tag-id-1"), Lost("tag-id-1", -9)], NOW)

    assert [request.id for request in actions.lost] == ["id-1"]
    assert not actions.conclude
    assert "SIGKILL" in str(actions.reports[-1].fields["error"])


def test_a_task_that_was_acknowledged_early_fails_with_its_process(
    policies: dict[str, TaskPolicy],
) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", acks_late=False)
    dispatcher = Dispatcher(policies.get, lambda event: (Record(""), None))
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([accepted("tag-id-1"), Lost("tag-id-1", -11)], NOW)

    (conclusion,) = actions.conclude
    assert isinstance(conclusion.error, WorkerLostError)
    assert "signal 11 (SIGSEGV)" in str(conclusion.error)
    assert not actions.lost


def salvaged(tag: str, record: Record, *, settled: bool = True) -> Finished:
    """A job that ended in a child which died before anybody knew whether it was recorded."""
    return Finished(tag, Outcome(tag, encode_record(record), settled), salvaged=True)


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "RETRY", "IGNORED"])
def test_end_that_died_unrecorded_with_its_process_goes_back_to_its_queue(
    dispatcher: Dispatcher, state: str, settled: bool
) -> None:
    dispatcher.accept([make_delivery()], NOW)
    event = salvaged("tag-id-1", Record(state), settled=settled)
    actions = dispatcher.collected([accepted("tag-id-1"), event], NOW)

    assert [request.id for request in actions.lost] == ["id-1"]
    assert not actions.ack
    assert not actions.forget
    assert not actions.effects
    assert actions.reports[-1].kind == "requeued"
    assert dispatcher.reserved() == []


def test_unrecorded_end_is_buried_when_its_process_died_too_often(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery(deliveries=5)], NOW)
    actions = dispatcher.collected([salvaged("tag-id-1", Record("SUCCESS"))], NOW)

    assert not actions.lost
    assert [conclusion.bury for conclusion in actions.conclude] == ["delivery_limit"]


@pytest.mark.parametrize(
    ("record", "where"),
    [(Record(REQUEUE), "requeue"), (Record(UNREADABLE, None, "bad"), "bury")],
)
def test_salvaged_end_with_nothing_to_record_is_carried_out(
    dispatcher: Dispatcher, record: Record, where: str
) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([salvaged("tag-id-1", record)], NOW)

    assert getattr(actions, where)
    assert not actions.lost


def test_reject_on_worker_lost_switched_off_is_honoured(policies: dict[str, TaskPolicy]) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", reject_on_worker_lost=False)
    dispatcher = Dispatcher(policies.get, lambda event: (Record(""), None))
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected([accepted("tag-id-1"), Lost("tag-id-1", 1)], NOW)
    assert [conclusion.state for conclusion in actions.conclude] == ["FAILURE"]


def test_a_task_that_killed_its_process_too_often_is_buried(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery(deliveries=5)], NOW)
    actions = dispatcher.collected([accepted("tag-id-1"), Lost("tag-id-1", -9)], NOW)

    (conclusion,) = actions.conclude
    assert conclusion.bury == "delivery_limit"
    assert isinstance(conclusion.error, WorkerLostError)
    assert not actions.lost


def test_a_terminated_task_ends_as_revoked(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    lost = Lost("tag-id-1", -signal.SIGTERM, signal.SIGTERM)
    actions = dispatcher.collected([accepted("tag-id-1"), lost], NOW)

    (conclusion,) = actions.conclude
    assert (conclusion.state, conclusion.error.args) == ("REVOKED", ("terminated",))
    assert actions.reports[-1].fields == {"terminated": True, "signum": 15, "expired": False}


def test_a_hard_timeout_is_a_failure(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected(
        [accepted("tag-id-1"), TimedOut("tag-id-1", soft=False, limit=3.0)], NOW
    )
    (conclusion,) = actions.conclude
    assert isinstance(conclusion.error, TimeLimitExceeded)
    assert conclusion.error.args == (3.0,)


def test_a_hard_timeout_without_ack_goes_back(policies: dict[str, TaskPolicy]) -> None:
    policies["proj.add"] = TaskPolicy(name="proj.add", acks_on_timeout=False)
    dispatcher = Dispatcher(policies.get, lambda event: (Record(""), None))
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected(
        [accepted("tag-id-1"), TimedOut("tag-id-1", soft=False, limit=3.0)], NOW
    )
    assert [request.id for request in actions.lost] == ["id-1"]


def test_a_soft_timeout_is_only_told(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    actions = dispatcher.collected(
        [accepted("tag-id-1"), TimedOut("tag-id-1", soft=True, limit=2.0)], NOW
    )
    assert [report.kind for report in actions.reports] == ["soft_timeout"]
    assert dispatcher.active()


def test_a_job_given_back_is_submitted_again_unless_it_was_revoked(
    dispatcher: Dispatcher,
) -> None:
    dispatcher.accept([make_delivery(task_id="a"), make_delivery(task_id="b")], NOW)
    dispatcher.revoked.add(["a"], NOW)
    actions = dispatcher.collected([Returned("tag-a"), Returned("tag-b")], NOW)

    assert [job.id for job in actions.submit] == ["tag-b"]
    assert [conclusion.request.id for conclusion in actions.conclude] == ["a"]


def test_a_stopping_worker_puts_what_comes_back_on_its_queue(dispatcher: Dispatcher) -> None:
    dispatcher.accept([make_delivery()], NOW)
    dispatcher.stopping = True
    actions = dispatcher.collected([Returned("tag-id-1")], NOW)
    assert actions.requeue == ["tag-id-1"]
    assert not actions.submit


@pytest.mark.parametrize(
    "event",
    [
        accepted("gone"),
        finished("gone", Record("SUCCESS")),
        Lost("gone", -9),
        TimedOut("gone", soft=False, limit=1.0),
        Returned("gone"),
    ],
)
def test_news_of_a_job_that_is_not_held_changes_nothing(dispatcher: Dispatcher, event: Any) -> None:
    actions = dispatcher.collected([event], NOW)
    assert msgspec.structs.astuple(actions) == msgspec.structs.astuple(type(actions)())
    assert dispatcher.processed == 0
