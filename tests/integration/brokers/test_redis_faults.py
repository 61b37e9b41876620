"""What the Redis broker survives: dead consumers, lost replies, frozen servers, foreign keys."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually
from tq.brokers import (
    Broker,
    ChordPart,
    Exchange,
    Message,
    Queue,
    Settlement,
    StoredResult,
    connect,
)
from tq.brokers.redis.deliveries import read_dead_letter
from tq.errors import BrokerConnectionError, BrokerError
from tq.wire.limits import LIMITS

pytestmark = pytest.mark.timeout(90)

LEASE = 0.8
QUEUE = Queue(name="q")


@pytest.fixture
def broker(server: RedisServer) -> Iterator[Any]:
    made = connect(server.url, {"lease": LEASE})
    yield made
    made.close()


def send(broker: Broker, *bodies: bytes, **fields: Any) -> None:
    broker.publish([Message(body=body, routing_key="q", **fields) for body in bodies])


def take(consumer: Any, count: int, within: float = 10.0) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + within
    while len(found) < count and time.monotonic() < deadline:
        consumer.maintain()
        found += consumer.fetch(count - len(found), 0.05)
    assert len(found) == count
    return found


def bodies(deliveries: list[Any]) -> list[bytes]:
    return [delivery.message.body for delivery in deliveries]


def stays_empty(consumer: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        consumer.maintain()
        if consumer.fetch(10, 0.05):
            return False
    return True


def dead_letters(broker: Any) -> list[Any]:
    entries = broker.pool.call("LRANGE", broker.keys.dead(), 0, -1)
    return [read_dead_letter(entry, LIMITS) for entry in entries]


CONSUMER = """
import sys, time
from tq.brokers import Queue, connect
consumer = connect(sys.argv[1], {"lease": float(sys.argv[2])}).consume([Queue(name="q")], prefetch=9)
count = 0
while count < int(sys.argv[3]):
    count += len(consumer.fetch(int(sys.argv[3]) - count, 1.0))
print("ready", flush=True)
while True:
    consumer.maintain()
    if sys.argv[4] == "hungry":
        consumer.fetch(0, 0.0)
    time.sleep(0.02)
"""


def start_consumer(url: str, take: int, mode: str = "full") -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", CONSUMER, url, str(LEASE), str(take), mode],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root / 'core'}:{root}"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def finish(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_what_a_killed_process_held_comes_back_without_a_visibility_timeout(
    server: RedisServer, broker: Any
) -> None:
    send(broker, *[b"%d" % n for n in range(10)])
    process = start_consumer(server.url, 6)
    survivor = broker.consume([QUEUE], prefetch=1)
    others = take(survivor, 4)
    assert bodies(others) == [b"6", b"7", b"8", b"9"]
    survivor.ack([delivery.tag for delivery in others])
    finish(process)
    again = take(survivor, 6)
    assert bodies(again) == [b"%d" % n for n in range(6)]
    assert {(delivery.redelivered, delivery.deliveries) for delivery in again} == {(True, 1)}
    survivor.ack([delivery.tag for delivery in again])
    assert stays_empty(survivor, 0.2)
    survivor.close()
    # The dead one's list of inboxes expires by itself.
    left = {key for key in broker.pool.call("KEYS", "*") if not key.endswith(b":inboxes")}
    assert left == {broker.keys.sequence().encode()}


def test_a_live_consumer_keeps_what_it_holds_for_many_leases(broker: Any) -> None:
    send(broker, b"1")
    holder, other = broker.consume([QUEUE], prefetch=1), broker.consume([QUEUE], prefetch=1)
    (delivery,) = take(holder, 1)
    deadline = time.monotonic() + 3 * LEASE
    while time.monotonic() < deadline:
        holder.maintain()
        other.maintain()
        assert other.fetch(1, 0.02) == []
    assert holder.settle([Settlement(tag=delivery.tag)])[0].done
    holder.close()
    other.close()


def test_what_woke_a_consumer_that_died_before_fetching_comes_back(
    server: RedisServer, broker: Any
) -> None:
    sleeper = broker.consume([QUEUE], prefetch=1)
    assert sleeper.fetch(1, 0.0) == []  # now it waits in the server
    send(broker, b"1")
    inbox = broker.keys.inbox(sleeper.id, "q")
    eventually(lambda: broker.pool.call("LLEN", inbox) == 1)
    survivor = broker.consume([QUEUE], prefetch=1)
    assert bodies(take(survivor, 1)) == [b"1"]
    survivor.close()
    sleeper.close()


def test_a_message_is_not_kept_by_a_consumer_that_became_busy_elsewhere(broker: Any) -> None:
    two = Queue(name="q2")
    busy = broker.consume([QUEUE, two], prefetch=1)
    assert busy.fetch(1, 0.0) == []  # waits at both queues
    send(broker, b"1")
    assert bodies(take(busy, 1)) == [b"1"]  # no room for more: stops waiting at the other
    broker.publish([Message(body=b"2", routing_key="q2")])
    idle = broker.consume([two], prefetch=1)
    assert bodies(idle.fetch(1, 0.2)) == [b"2"]
    busy.close()
    idle.close()


def test_a_late_settlement_writes_nothing(broker: Any) -> None:
    zombie, survivor = broker.consume([QUEUE], prefetch=1), broker.consume([QUEUE], prefetch=1)
    send(broker, b"1")
    (stale,) = take(zombie, 1)
    (fresh,) = take(survivor, 1)  # the zombie does not maintain, so its lease ends

    def item(tag: str, value: bytes) -> Settlement:
        return Settlement(
            tag=tag,
            result=StoredResult(key="result", value=value, ttl=60),
            messages=(Message(body=value, routing_key="next"),),
        )

    assert not zombie.settle([item(stale.tag, b"zombie")])[0].done
    assert broker.pool.call("GET", "result") is None
    assert broker.depths(["next"]) == {"next": 0}
    assert survivor.settle([item(fresh.tag, b"fresh")])[0].done
    assert broker.pool.call("GET", "result") == b"fresh"
    assert 0 < broker.pool.call("TTL", "result") <= 60
    assert broker.depths(["next"]) == {"next": 1}
    zombie.maintain()
    zombie.release()
    assert stays_empty(survivor, 0.2)
    zombie.close()
    survivor.close()


def test_a_settler_of_another_process_settles_for_the_consumer(broker: Any) -> None:
    send(broker, b"1", b"2")
    consumer = broker.consume([QUEUE], prefetch=1)
    one, two = take(consumer, 2)
    settler = broker.settler(consumer.id)
    assert [a.done for a in settler.settle([Settlement(tag=one.tag)])] == [True]
    consumer.forget([one.tag])
    settler.close()
    consumer.beat()
    assert consumer.settle([Settlement(tag=two.tag)])[0].done
    assert broker.pool.call("EXISTS", broker.keys.unacked(), broker.keys.tags(consumer.id)) == 0
    consumer.close()


def test_a_frozen_server_makes_nobody_look_dead(server: RedisServer, broker: Any) -> None:
    send(broker, b"1", b"2")
    one, two = broker.consume([QUEUE], prefetch=1), broker.consume([QUEUE], prefetch=1)
    (first,), (second,) = take(one, 1), take(two, 1)
    one.maintain()
    server.signal(signal.SIGSTOP)
    timer = threading.Timer(2 * LEASE, server.signal, (signal.SIGCONT,))
    timer.start()
    stop = threading.Event()
    extra: list[Any] = []

    def live(consumer: Any) -> None:
        while not stop.is_set():
            consumer.maintain()
            extra.extend(consumer.fetch(1, 0.02))

    threads = [threading.Thread(target=live, args=(each,)) for each in (one, two)]
    for thread in threads:
        thread.start()
    timer.join()
    stop.wait(2 * LEASE)
    stop.set()
    for thread in threads:
        thread.join()
    assert extra == []
    assert one.settle([Settlement(tag=first.tag)])[0].done
    assert two.settle([Settlement(tag=second.tag)])[0].done
    one.close()
    two.close()


def test_paused_clients_are_not_reaped(broker: Any) -> None:
    send(broker, b"1")
    holder, other = broker.consume([QUEUE], prefetch=1), broker.consume([QUEUE], prefetch=1)
    (delivery,) = take(holder, 1)
    broker.pool.call("CLIENT", "PAUSE", int(1500 * LEASE), "ALL")
    deadline = time.monotonic() + 3 * LEASE
    while time.monotonic() < deadline:
        other.maintain()
        holder.maintain()
        assert other.fetch(1, 0.02) == []
    assert holder.settle([Settlement(tag=delivery.tag)])[0].done
    holder.close()
    other.close()


class LossyProxy:
    """Forwards to a server, and on request drops an answer together with the connection."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.lose_after = b""
        self.lost = 0
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(str(self.server.socket))
        losing = threading.Event()

        def answers() -> None:
            with client, upstream:
                while data := receive(upstream):
                    if losing.is_set():
                        self.lost += 1
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(data)

        threading.Thread(target=answers, daemon=True).start()
        while data := receive(client):
            if self.lose_after and self.lose_after in data:
                self.lose_after = b""
                losing.set()
            upstream.sendall(data)

    def close(self) -> None:
        self._listener.close()


def receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def test_a_fetch_whose_answer_was_lost_is_found_again(server: RedisServer, broker: Any) -> None:
    proxy = LossyProxy(server)
    remote = connect(proxy.url, {"lease": LEASE})
    consumer = remote.consume([QUEUE], prefetch=1)
    consumer.fetch(1, 0.0)  # the script is loaded from here on
    send(broker, b"1", b"2")
    proxy.lose_after = b"EVALSHA"
    with pytest.raises(BrokerConnectionError):
        consumer.fetch(5, 0.5)
    assert proxy.lost == 1
    found = take(consumer, 2)
    assert sorted(bodies(found)) == [b"1", b"2"]
    assert {delivery.deliveries for delivery in found} == {0}
    consumer.ack([delivery.tag for delivery in found])
    assert stays_empty(consumer, LEASE)
    consumer.close()
    remote.close()
    proxy.close()


def test_a_settlement_sent_again_after_a_lost_answer_changes_nothing(
    server: RedisServer, broker: Any
) -> None:
    proxy = LossyProxy(server)
    remote = connect(proxy.url, {"lease": LEASE})
    consumer = remote.consume([QUEUE], prefetch=1)
    send(broker, b"1")
    (delivery,) = take(consumer, 1)
    item = Settlement(tag=delivery.tag, messages=(Message(body=b"n", routing_key="next"),))
    assert not consumer.settle([Settlement(tag="load")])[0].done
    proxy.lose_after = b"EVALSHA"
    with pytest.raises(BrokerConnectionError):
        consumer.settle([item])
    eventually(lambda: broker.depths(["next"]) == {"next": 1})
    assert not consumer.settle([item])[0].done
    assert broker.depths(["next"]) == {"next": 1}
    consumer.close()
    remote.close()
    proxy.close()


def test_early_acknowledged_tasks_of_a_dead_worker_are_reported(broker: Any) -> None:
    worker, survivor = broker.consume([QUEUE], prefetch=1), broker.consume([QUEUE], prefetch=1)
    send(broker, b"1", headers={"id": "7", "task": "t"})
    (delivery,) = take(worker, 1)
    assert worker.settle([Settlement(tag=delivery.tag, started=True)])[0].done
    dead: list[Any] = []
    eventually(lambda: dead.extend(survivor.maintain()) or dead, within=10)
    assert [(letter.reason, letter.delivery.message.headers["id"]) for letter in dead] == [
        ("worker_lost", "7")
    ]
    assert [letter.reason for letter in dead_letters(broker)] == ["worker_lost"]
    assert not worker.settle([Settlement(tag=delivery.tag)])[0].done
    assert survivor.fetch(1, 0.1) == []
    worker.close()
    survivor.close()


def test_a_poison_message_ends_in_the_dead_letters(server: RedisServer) -> None:
    broker = connect(server.url, {"lease": 0.2, "delivery_limit": 2})
    send(broker, b"poison", headers={"id": "p", "task": "t"})
    survivor = broker.consume([Queue(name="elsewhere")], prefetch=1)
    dead: list[Any] = []
    for _ in range(3):
        victim = broker.consume([QUEUE], prefetch=1)
        take(victim, 1)
        eventually(
            lambda: dead.extend(survivor.maintain()) or dead or broker.depths(["q"])["q"], within=10
        )
        victim.close()
    assert [letter.reason for letter in dead] == ["delivery_limit"]
    (letter,) = dead_letters(broker)
    assert letter.delivery.message.headers["id"] == "p"
    assert broker.depths(["q"]) == {"q": 0}
    survivor.close()
    broker.close()


GARBAGE = [
    b"",
    b"\x00\xff\xfe",
    b"null",
    b"[]",
    b"5",
    b"\xef\xbb\xbf{}",
    b"{",
    b"{}",
    b'{"body": 1}',
    b'{"body": "x", "properties": null, "headers": {}, "content-type": "a"}',
    b'{"body": "!!", "properties": {"body_encoding": "base64"}, "content-type": "a"}',
    b"{" * 1000 + b"}" * 1000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
]


@pytest.mark.parametrize("raw", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_goes_to_the_dead_letters_and_the_next_message_is_served(
    broker: Any, raw: bytes
) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    broker.pool.call("LPUSH", "q", raw)
    send(broker, b"good")
    assert bodies(take(consumer, 1)) == [b"good"]
    (letter,) = dead_letters(broker)
    assert letter.raw == raw
    assert letter.queue == "q"
    assert letter.reason
    assert abs(letter.timestamp - time.time()) < 60
    assert broker.pool.call("HLEN", broker.keys.unacked()) == 1
    consumer.close()


def test_a_message_above_the_limit_is_quarantined_without_being_decoded(
    server: RedisServer,
) -> None:
    broker = connect(server.url, {"max_message_size": 4096})
    consumer = broker.consume([QUEUE], prefetch=1)
    send(broker, b"x" * 5000, b"good")
    assert bodies(take(consumer, 1)) == [b"good"]
    assert [letter.reason for letter in dead_letters(broker)] == ["too_large"]
    assert [letter.reason for letter in consumer.maintain()] == ["too_large"]
    consumer.close()
    broker.close()


def test_the_dead_letters_are_capped_by_count_and_bytes(server: RedisServer) -> None:
    broker = connect(server.url, {"dead_count": 5, "dead_bytes": 1024})
    consumer = broker.consume([QUEUE], prefetch=1)
    broker.pool.call("LPUSH", "q", *[b"bad%d" % n for n in range(20)])
    consumer.fetch(50, 0.0)
    assert [letter.raw for letter in dead_letters(broker)] == [
        b"bad%d" % n for n in range(19, 14, -1)
    ]
    broker.pool.call("LPUSH", "q", b"y" * 600, b"z" * 600)
    consumer.fetch(50, 0.0)
    assert [letter.raw[:1] for letter in dead_letters(broker)] == [b"z"]
    assert int(broker.pool.call("GET", broker.keys.dead_bytes())) <= 1024
    consumer.close()
    broker.close()


def test_a_queue_of_a_wrong_type_is_named_and_others_are_served(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broker.pool.call("SET", "q", "not a list")
    other = Queue(name="other")
    consumer = broker.consume([QUEUE, other], prefetch=1)
    with pytest.raises(BrokerError, match="the key q is no list"):
        consumer.fetch(1, 0.0)
    broker.publish([Message(body=b"1", routing_key="other")])
    with caplog.at_level(logging.ERROR):
        assert bodies(consumer.fetch(2, 0.0)) == [b"1"]
    assert "the key q is no list" in caplog.text
    broker.pool.call("DEL", "q")
    send(broker, b"2")
    assert bodies(take(consumer, 1)) == [b"2"]
    consumer.close()


@pytest.mark.parametrize("name", ["unacked", "unacked_index", "sequence", "dead"])
def test_a_bookkeeping_key_of_a_wrong_type_loses_nothing(broker: Any, name: str) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    send(broker, b"1", b"2", b"3")
    broker.pool.call("RPUSH", "q", b"garbage")
    key = getattr(broker.keys, name)()
    broker.pool.call("DEL", key)
    broker.pool.call(
        "HSET" if name != "unacked" else "SADD", key, "field", *(["x"] if name != "unacked" else [])
    )
    before = broker.pool.call("LRANGE", "q", 0, -1)
    with pytest.raises(BrokerError, match=f"the key {key} "):
        consumer.fetch(10, 0.0)
    assert broker.pool.call("LRANGE", "q", 0, -1) == before
    broker.pool.call("DEL", key)
    assert bodies(take(consumer, 3)) == [b"1", b"2", b"3"]
    consumer.close()


def test_a_successor_whose_queue_has_a_wrong_type_waits_with_the_dead(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    send(broker, b"1")
    broker.pool.call("SET", "next", "x")
    (delivery,) = take(consumer, 1)
    item = Settlement(tag=delivery.tag, messages=(Message(body=b"then", routing_key="next"),))
    with caplog.at_level(logging.ERROR):
        assert consumer.settle([item])[0].done
    assert "WRONGTYPE" in caplog.text
    (letter,) = dead_letters(broker)
    assert (letter.reason, letter.queue, letter.delivery.message.body) == (
        "not_sent",
        "next",
        b"then",
    )
    consumer.close()


def test_flushed_scripts_are_loaded_again(broker: Any) -> None:
    exchange = Exchange(name="ex", type="direct")
    queue = Queue(name="q", exchange=exchange, routing_key="k")
    consumer = broker.consume([queue], prefetch=1)
    for body in (b"1", b"2"):
        broker.pool.call("SCRIPT", "FLUSH")
        broker.publish([Message(body=body, exchange="ex", exchange_type="direct", routing_key="k")])
        broker.pool.call("SCRIPT", "FLUSH")
        (delivery,) = take(consumer, 1)
        broker.pool.call("SCRIPT", "FLUSH")
        assert consumer.settle([Settlement(tag=delivery.tag)])[0].done
    consumer.beat()
    consumer.close()


def test_flushed_data_leaves_the_consumer_alive(broker: Any) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    send(broker, b"1")
    (delivery,) = take(consumer, 1)
    broker.pool.call("FLUSHALL")
    consumer.beat()
    assert not consumer.settle([Settlement(tag=delivery.tag)])[0].done
    send(broker, b"2")
    assert bodies(take(consumer, 1)) == [b"2"]
    assert broker.pool.call("ZCARD", broker.keys.consumers()) == 1
    consumer.close()


def test_cut_connections_lose_nothing(broker: Any) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    done: set[bytes] = set()
    send(broker, *[b"%d" % n for n in range(200)])
    deadline = time.monotonic() + 30
    rounds = 0
    while len(done) < 200 and time.monotonic() < deadline:
        rounds += 1
        if rounds % 5 == 0:
            broker.pool.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            consumer.maintain()
            deliveries = consumer.fetch(7, 0.02)
            consumer.ack([delivery.tag for delivery in deliveries])
            done.update(bodies(deliveries))
        except BrokerConnectionError:
            continue
    assert len(done) == 200
    consumer.close()


def test_a_killed_server_with_an_append_only_file_loses_nothing(caplog: Any) -> None:
    with redis_server("valkey", aof=True) as server:
        broker = connect(server.url, {"lease": 5.0})
        consumer = broker.consume([QUEUE], prefetch=1)
        send(broker, *[b"%d" % n for n in range(20)])
        held = take(consumer, 5)
        server.kill()
        with pytest.raises(BrokerConnectionError):
            consumer.fetch(1, 0.1)
        server.start()
        with caplog.at_level(logging.WARNING):
            consumer.beat()
        assert "was restarted" in caplog.text
        assert all(a.done for a in consumer.settle([Settlement(tag=d.tag) for d in held]))
        assert bodies(take(consumer, 15)) == [b"%d" % n for n in range(5, 20)]
        consumer.close()
        broker.close()


def test_a_server_that_is_not_there_is_a_connection_error(tmp_path: Path) -> None:
    broker = connect(f"redis+socket://{tmp_path}/none?virtual_host=0")
    with pytest.raises(BrokerConnectionError, match="none"):
        broker.ping(1.0)
    with pytest.raises(BrokerConnectionError):
        send(broker, b"1")


def test_a_refused_password_is_not_worth_a_retry() -> None:
    with redis_server("redis", "--requirepass", "secret", tcp=True) as server:
        wrong = connect(server.url.replace("redis://", "redis://:wr0ng@"))
        with pytest.raises(BrokerError) as caught:
            wrong.ping(2.0)
        assert not isinstance(caught.value, BrokerConnectionError)
        assert "wr0ng" not in str(caught.value)
        assert "wr0ng" not in repr(wrong)
        right = connect(server.url.replace("redis://", "redis://:secret@"))
        right.ping(2.0)
        right.close()


def test_a_silent_server_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        broker = connect(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(BrokerConnectionError, match="no answer in time"):
            broker.ping(0.2)


def test_a_fork_does_not_share_the_parents_socket(broker: Any) -> None:
    broker.depths(["q"])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            send(broker, *[b"child"] * 10)
            os.write(write, b"ok" if broker.depths(["q"])["q"] >= 10 else b"no")
        finally:
            os._exit(0)
    send(broker, *[b"parent"] * 10)
    os.waitpid(child, 0)
    assert os.read(read, 2) == b"ok"
    assert broker.depths(["q"]) == {"q": 20}
    os.close(read)
    os.close(write)


def test_the_last_part_of_a_chord_gets_the_claim_once(broker: Any) -> None:
    consumer = broker.consume([QUEUE], prefetch=1)
    send(broker, b"1", b"2", b"3")
    broker.pool.call("SET", "g.s", 2)
    first, second, again = take(consumer, 3)

    def part(tag: str, mark: int) -> Settlement:
        member = b'[1, "%d", "SUCCESS", null]' % mark
        chord = ChordPart(group_key="g", member=member, mark=f"{mark}:{mark}", score=mark)
        return Settlement(tag=tag, chord=chord)

    answers = consumer.settle([part(first.tag, 0), part(second.tag, 1), part(again.tag, 1)])
    assert [answer.done for answer in answers] == [True, True, True]
    assert [bool(answer.claim) for answer in answers] == [False, True, False]
    assert broker.pool.call("GET", "g.c").decode() == answers[1].claim
    assert broker.pool.call("ZCARD", "g.j") == 2
    consumer.close()
