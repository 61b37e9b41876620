"""Commands and replies between a mailbox and nodes, on the broker in memory."""

import json
import threading
import uuid

import pytest

from tests.support.waiting import eventually
from tq.brokers.base import Exchange, Message
from tq.brokers.memory import Broker, reset
from tq.clock import LamportClock
from tq.control import Mailbox, Node
from tq.errors import BrokerConnectionError, BrokerError, CommandRefused


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def broker():
    name = uuid.uuid4().hex
    yield Broker(f"memory://{name}")
    reset(name)


@pytest.fixture
def mailbox(broker):
    box = Mailbox(broker, clock=LamportClock())
    yield box
    box.close()


def node(broker, name="w1@h", **options) -> Node:
    made = Node(broker, name, LamportClock(), **options)
    made.start()
    return made


def answer(*nodes: Node, value=None) -> None:
    for one in nodes:
        for command in one.receive():
            one.reply(command, value or {"ok": f"pong {one.hostname}"})


def raw(broker, body, **headers) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    broker.publish(
        [Message(body=data, headers=headers, exchange="celery.pidbox", exchange_type="fanout")]
    )


def test_a_call_collects_every_reply_without_blocking(broker, mailbox):
    first, second = node(broker, "w1@h"), node(broker, "w2@h")
    call = mailbox.start("ping", timeout=5, expect={"w1@h", "w2@h"})
    assert (call.poll(), call.missing, call.done) == ([], {"w1@h", "w2@h"}, False)
    answer(first)
    assert [reply.node for reply in call.poll()] == ["w1@h"]
    assert (call.missing, call.done) == ({"w2@h"}, False)
    answer(second)
    assert [reply.value for reply in call.poll()] == [{"ok": "pong w2@h"}]
    assert call.done
    assert all(reply.elapsed >= 0 for reply in call.replies)


@pytest.mark.timeout(20)
def test_waiting_ends_as_soon_as_all_expected_have_answered(broker, mailbox):
    worker = node(broker)
    thread = threading.Thread(target=lambda: eventually(lambda: answer(worker) or worker.received))
    thread.start()
    replies = mailbox.broadcast("ping", reply=True, timeout=15, expect={"w1@h"})
    thread.join()
    assert [reply.node for reply in replies] == ["w1@h"]


@pytest.mark.timeout(20)
def test_threads_that_wait_at_once_each_get_their_own_replies(broker, mailbox):
    worker = node(broker, burst=1000)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            for command in worker.receive(0.05):
                worker.reply(command, command.arguments)

    server = threading.Thread(target=serve)
    server.start()
    found: dict[int, list] = {}

    def ask(number: int) -> None:
        for _ in range(10):
            replies = mailbox.broadcast(
                "echo", {"n": number}, reply=True, timeout=10, expect={"w1@h"}
            )
            found.setdefault(number, []).extend(reply.value["n"] for reply in replies)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stopping.set()
    server.join()
    assert found == {number: [number] * 10 for number in range(5)}


def test_late_replies_are_still_collected_and_known_as_late(broker):
    clock = Clock()
    mailbox, worker = Mailbox(broker, time_source=clock), node(broker)
    call = mailbox.start("ping", timeout=1.0, expect={"w1@h"})
    clock.now += 3.0
    assert call.done
    assert call.missing == {"w1@h"}
    answer(worker)
    (reply,) = call.poll()
    assert call.is_late(reply)
    assert reply.elapsed == pytest.approx(3.0)
    mailbox.close()


def test_without_expectation_only_time_or_limit_end_a_call(broker):
    clock = Clock()
    mailbox, worker = Mailbox(broker, time_source=clock), node(broker)
    call, limited = mailbox.start("ping", timeout=1.0), mailbox.start("ping", timeout=1.0, limit=1)
    answer(worker)
    call.poll()
    assert (call.complete, call.done, limited.done) == (False, False, True)
    clock.now += 1.0
    assert call.done
    mailbox.close()


def test_replies_for_nobody_are_counted(broker, mailbox):
    worker = node(broker)
    call = mailbox.start("ping", expect={"w1@h"})
    mailbox._calls.clear()
    answer(worker)
    assert call.poll() == []
    assert mailbox.unclaimed == 1


def test_one_reply_queue_serves_all_calls_and_close_leaves_nothing(broker, mailbox):
    before = broker.bindings("reply.celery.pidbox")
    for _ in range(3):
        mailbox.start("ping")
    assert len(broker.bindings("reply.celery.pidbox")) == len(before) + 1
    mailbox.close()
    assert broker.bindings("reply.celery.pidbox") == before
    mailbox.start("ping")
    assert len(broker.bindings("reply.celery.pidbox")) == len(before) + 1


def test_the_reply_queue_of_a_dead_process_of_this_machine_is_swept(broker, mailbox):
    from tq.brokers.base import Queue
    from tq.control.oid import is_stale, new_oid

    place = new_oid().split("-")[1]
    dead, foreign = f"tq-{place}-4194999-0123456789ab", "tq-000000000000-4194999-0123456789ab"
    assert is_stale(dead)
    assert not is_stale(foreign)
    assert not is_stale(new_oid())
    exchange = Exchange(name="reply.celery.pidbox", type="direct", durable=False)
    for key in (dead, foreign, "someone-elses"):
        broker.declare(
            [Queue(name=f"{key}.reply.celery.pidbox", exchange=exchange, routing_key=key)]
        )
    mailbox.start("ping")
    keys = {key for key, _ in broker.bindings("reply.celery.pidbox")}
    assert keys == {foreign, "someone-elses", mailbox.oid}


def test_a_cast_wants_no_reply_and_makes_no_queue(broker, mailbox):
    worker = node(broker)
    mailbox.cast("shutdown", destination=["w1@h"])
    (command,) = worker.receive()
    assert (command.method, command.reply_to, command.ticket, command.destination) == (
        "shutdown",
        None,
        None,
        ["w1@h"],
    )
    worker.reply(command, {"ok": "ignored"})
    assert broker.bindings("reply.celery.pidbox") == []


def test_destination_must_be_a_list(mailbox):
    with pytest.raises(ValueError, match="list of node names"):
        mailbox.cast("ping", destination="w1@h")


@pytest.mark.parametrize(
    "method", ["shutdown", "revoke", "enable_events", "pool_grow", "no_such", "objgraph"]
)
def test_a_read_only_mailbox_sends_no_command_that_changes_anything(broker, method):
    mailbox, worker = Mailbox(broker, read_only=True), node(broker)
    for send in (mailbox.cast, mailbox.start, mailbox.broadcast):
        with pytest.raises(CommandRefused, match=method):
            send(method)
    assert worker.receive() == []


def test_a_read_only_mailbox_greets_without_bringing_revoked_ids(broker):
    mailbox, worker = Mailbox(broker, read_only=True), node(broker)
    mailbox.cast("hello", {"from_node": "a@b"})
    with pytest.raises(CommandRefused):
        mailbox.cast("hello", {"from_node": "a@b", "revoked": ["id"]})
    assert [command.method for command in worker.receive()] == ["hello"]


def test_a_lost_connection_is_reported_and_the_next_command_opens_anew(broker, mailbox):
    call = mailbox.start("ping")

    class Broken:
        def receive(self, limit, timeout):
            raise BrokerConnectionError("gone")

    good, mailbox._subscription = mailbox._subscription, Broken()
    with pytest.raises(BrokerConnectionError):
        call.poll()
    good.close()
    worker = node(broker)
    again = mailbox.start("ping", expect={"w1@h"})
    answer(worker)
    assert len(again.poll()) == 1


def test_clocks_move_past_each_others(broker, mailbox):
    worker = node(broker)
    mailbox.clock.value, worker.clock.value = 100, 7
    call = mailbox.start("ping", expect={"w1@h"})
    answer(worker)
    assert worker.clock.value > 101
    call.poll()
    assert mailbox.clock.value > worker.clock.value - 1


BAD = [
    b"", b"not json", b"null", b"{}", b"5", b"[]", b"\x80\x04N.", {"method": 5}, {"method": "ping", "arguments": [1]},
    {"method": "ping", "destination": 7}, {"method": "ping", "reply_to": "x"}, {"method": "ping", "reply_to": {}},
    {"method": "ping", "ticket": "t" * 1_000_000}, {"method": "ping", "pattern": "(a+)+b", "matcher": "pcre"},
    {"method": "ping", "pattern": "*", "matcher": "sql"},
]  # fmt: skip


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_a_malformed_command_is_counted_and_the_next_good_one_arrives(broker, mailbox, body):
    worker = node(broker)
    raw(broker, body, clock="x", expires=[])
    mailbox.cast("ping")
    assert [command.method for command in worker.receive()] == ["ping"]
    assert sum(worker.skipped.values()) == 1


def test_commands_beyond_the_rate_wait_and_beyond_the_backlog_are_dropped(broker, mailbox):
    clock = Clock()
    worker = node(broker, rate=50, burst=20, backlog_limit=100, time_source=clock)
    for number in range(300):
        mailbox.cast("ping", {"n": number})
    first = worker.receive()
    assert [command.arguments["n"] for command in first] == list(range(20))
    assert worker.waiting == 80
    clock.now += 1.0
    assert [command.arguments["n"] for command in worker.receive()] == list(range(20, 40))
    assert worker.skipped == {"rate": 200}


def test_a_reply_that_cannot_be_encoded_becomes_an_error_reply(broker, mailbox):
    worker = node(broker)
    call = mailbox.start("conf", expect={"w1@h"})
    for command in worker.receive():
        worker.reply(command, {"ok": object()})
    (reply,) = call.poll()
    assert "cannot be encoded" in reply.value["error"]


def test_an_unstarted_node_says_so(broker):
    with pytest.raises(BrokerError, match="not started"):
        Node(broker, "w1@h", LamportClock()).fileno()


def test_a_closed_node_leaves_no_binding(broker):
    worker = node(broker)
    assert broker.bindings("celery.pidbox") == [("", "w1@h.celery.pidbox")]
    worker.close()
    assert broker.bindings("celery.pidbox") == []
