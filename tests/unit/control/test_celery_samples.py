"""Control and Inspect send what Celery sent, and read its workers' captured replies."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tq.brokers.base import Message
from tq.control import Control, DuplicateNodenameWarning, Inspect
from tq.errors import CommandRefused, ConfigError
from tq.wire.command import Reply as WireReply
from tq.wire.command import decode_command, encode_reply

FIXTURES = Path(__file__).parents[2] / "fixtures"
W1, W2, W3 = [f"worker{n}@example-host" for n in (1, 2, 3)]

INSPECT = {
    "active": lambda i: i().active(),
    "active_safe": lambda i: i([W1]).active(safe=True),
    "active_queues": lambda i: i().active_queues(),
    "clock": lambda i: i().clock(),
    "conf_with_defaults": lambda i: i([W1]).conf(with_defaults=True),
    "hello": lambda i: i().hello("celery@other-host", revoked=["aaaa-1", "aaaa-2"]),
    "memdump": lambda i: i([W1]).memdump(),
    "memsample": lambda i: i([W1]).memsample(),
    "objgraph": lambda i: i([W1]).objgraph(n=5, max_depth=2),
    "ping": lambda i: i().ping(),
    "ping_destination": lambda i: i([W1]).ping(),
    "ping_destination_missing": lambda i: i(["nobody@nowhere"], timeout=0.0).ping(),
    "ping_pattern_glob": lambda i: i(pattern="worker[12]*", matcher="glob").ping(),
    "ping_pattern_pcre": lambda i: i(pattern="worker(2|3)@.*", matcher="pcre").ping(),
    "ping_two_destinations": lambda i: i().ping([W1, W2]),
    "registered": lambda i: i().registered(),
    "report": lambda i: i().report(),
    "reserved": lambda i: i().reserved(),
    "revoked": lambda i: i().revoked(),
    "scheduled": lambda i: i().scheduled(),
    "stats": lambda i: i().stats(),
}

CONTROL = {
    "add_consumer": lambda c: c.add_consumer("extra", destination=[W1], reply=True),
    "add_consumer_full": lambda c: c.add_consumer(
        "extra2", "ex2", "topic", "a.#", destination=[W1], reply=True
    ),
    "autoscale": lambda c: c.autoscale(4, 2, destination=[W3], reply=True),
    "cancel_consumer": lambda c: c.cancel_consumer("extra", destination=[W1], reply=True),
    "disable_events": lambda c: c.disable_events(reply=True),
    "enable_events": lambda c: c.enable_events(reply=True),
    "pool_grow": lambda c: c.pool_grow(1, reply=True),
    "pool_restart": lambda c: c.pool_restart(destination=[W3], reply=True),
    "pool_shrink": lambda c: c.pool_shrink(1, reply=True),
    "rate_limit": lambda c: c.rate_limit("tasks.add", "10/m", reply=True),
    "rate_limit_int0": lambda c: c.rate_limit("tasks.add", 0, destination=[W1], reply=True),
    "revoke": lambda c: c.revoke("3a253dc9-742e-4ef4-b8c9-9af193d4466f", reply=True),
    "revoke_cast": lambda c: c.revoke("some-task-id"),
    "revoke_list": lambda c: c.revoke(["id-a", "id-b"], destination=[W1], reply=True),
    "revoke_terminate": lambda c: c.terminate(
        "29d1a963-08af-410a-a27f-d9bb93ca0ba1", destination=[W1], reply=True
    ),
    "revoke_by_stamped_headers": lambda c: c.revoke_by_stamped_headers(
        {"mtask_id": ["id1", "id2"]}, reply=True
    ),
    "time_limit": lambda c: c.time_limit("tasks.add", soft=10.0, hard=20.0, reply=True),
    "unknown_command": lambda c: c.broadcast("no_such_command", destination=[W1], reply=True),
    "noreply_cast": lambda c: c.broadcast("ping"),
}


class Peers:
    """A broker whose workers answer with captured replies."""

    driver = "redis"

    def __init__(self, replies: list[dict]) -> None:
        self.answers = replies
        self.commands: list[Message] = []
        self.queued: list[Message] = []
        self.nodes = [node for reply in replies for node in reply]

    def broadcast(self, message) -> None:
        self.commands.append(message)
        command = decode_command(message)
        for reply in self.answers if command.reply_to else ():
            ((node, value),) = reply.items()
            self.queued.append(
                encode_reply(
                    WireReply(node=node, value=value, ticket=command.ticket, clock=5),
                    command.reply_to["exchange"],
                    command.reply_to["routing_key"],
                )
            )

    def subscribe(self, queue):
        return self

    def receive(self, limit, timeout):
        taken, self.queued = self.queued, []
        return taken

    def bindings(self, exchange):
        return (
            [("", f"{node}.celery.pidbox") for node in self.nodes]
            if exchange == "celery.pidbox"
            else []
        )

    def close(self) -> None:
        pass


def sample(folder: str, name: str) -> tuple[dict, list[dict]]:
    data = json.loads((FIXTURES / folder / f"{name}.json").read_text())
    return data["request"]["decoded_body"], [reply["decoded_body"] for reply in data["replies"]]


def assert_sent(peers: Peers, body: dict) -> None:
    (message,) = peers.commands
    sent = json.loads(message.body)
    assert sent.keys() == body.keys()
    for name in ("method", "arguments", "destination", "pattern", "matcher"):
        assert sent[name] == body[name]
    if "reply_to" in body:
        assert sent["reply_to"]["exchange"] == "reply.celery.pidbox"
    assert (message.exchange, message.exchange_type, message.routing_key) == (
        "celery.pidbox",
        "fanout",
        "",
    )


@pytest.mark.parametrize("name", sorted(INSPECT))
def test_inspect_asks_and_answers_as_celery(name):
    body, replies = sample("control-inspect-redis", name)
    peers = Peers(replies)
    result = INSPECT[name](Control(broker=peers).inspect)
    if name == "conf_with_defaults":
        body = {**body, "arguments": {"with_defaults": True}}
    assert_sent(peers, body)
    assert result == ({node: value for reply in replies for node, value in reply.items()} or None)


def test_query_task_takes_ids_as_arguments_or_as_one_list():
    body, replies = sample("control-inspect-redis", "query_task")
    for ids in (body["arguments"]["ids"], [body["arguments"]["ids"]]):
        peers = Peers(replies)
        Control(broker=peers).inspect().query_task(*ids)
        assert_sent(peers, body)


@pytest.mark.parametrize("name", sorted(CONTROL))
def test_control_sends_and_returns_as_celery(name):
    body, replies = sample("control-control-redis", name)
    peers = Peers(replies)
    result = CONTROL[name](Control(broker=peers))
    assert_sent(peers, body)
    assert result == (replies if "reply_to" in body else None)


def test_one_name_as_destination_gives_that_nodes_reply_alone():
    assert Inspect(W1, control=Control(broker=Peers([{W1: {"ok": "pong"}}]))).ping() == {
        "ok": "pong"
    }


def test_two_workers_of_one_name_are_warned_of():
    control = Control(broker=Peers([{W1: {"ok": "pong"}}, {W1: {"ok": "pong"}}]))
    with pytest.warns(DuplicateNodenameWarning, match="worker1@example-host"):
        control.inspect(limit=2).ping()


def test_callbacks_get_each_reply_as_celery_gives_it():
    seen = []
    replies = [{W1: {"ok": "pong"}}, {W2: {"ok": "pong"}}]
    Control(broker=Peers(replies)).ping(callback=seen.append)
    assert seen == replies


def test_the_expected_nodes_are_the_live_and_the_bound_ones_that_fit():
    control = Control(broker=Peers([{W1: 1}, {W2: 1}]), known=lambda: {W3})
    assert control.expected() == {W1, W2, W3}
    assert control.expected([W2]) == {W2}
    assert control.expected(None, "worker[13]*", "glob") == {W1, W3}
    assert Control(broker=Peers([])).expected() is None


def test_settings_of_the_application_name_the_exchange_and_the_expiry():
    conf = SimpleNamespace(
        control_exchange="mine",
        control_queue_ttl=60.0,
        control_queue_expires=20.0,
        control_queue_exclusive=False,
        control_queue_durable=True,
    )
    peers = Peers([])
    control = Control(SimpleNamespace(broker=peers, conf=conf))
    control.broadcast("ping")
    assert peers.commands[0].exchange == "mine.pidbox"
    assert control.mailbox._queue.name.endswith(".reply.mine.pidbox")
    assert (control.mailbox._queue.message_ttl, control.mailbox._queue.expires) == (60.0, 20.0)
    assert (control.mailbox._queue.exclusive, control.mailbox._queue.durable) == (False, True)


def test_a_read_only_control_refuses_commands_and_purges_and_sends_nothing():
    peers = Peers([{W1: {"ok": "pong"}}])
    control = Control(broker=peers, read_only=True)
    for refused in (
        control.shutdown,
        control.enable_events,
        lambda: control.revoke("x"),
        control.purge,
    ):
        with pytest.raises(CommandRefused):
            refused()
    assert peers.commands == []
    assert control.ping() == [{W1: {"ok": "pong"}}]


def test_purge_empties_the_queues_of_the_settings():
    purged = []
    broker = SimpleNamespace(purge=lambda name: purged.append(name) or 2)
    assert (
        Control(
            SimpleNamespace(broker=broker, conf=SimpleNamespace(task_default_queue="dq"))
        ).purge()
        == 2
    )
    conf = SimpleNamespace(task_queues={"a": {}, "b": {}})
    assert Control(SimpleNamespace(broker=broker, conf=conf)).discard_all() == 4
    assert purged == ["dq", "a", "b"]


def test_without_application_and_broker_it_says_what_is_missing():
    with pytest.raises(ConfigError, match="application or a broker"):
        Control().ping()
    with pytest.raises(ConfigError, match="application or a control"):
        Inspect()
