"""Several brokers, a broker that goes away, separate addresses for reading and writing."""

import threading
import time

import kombu.pools
import pytest

from tests.support.processes import tq_worker
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually
from tq import TQ
from tq.errors import BrokerConnectionError, ConfigError

pytestmark = pytest.mark.timeout(120)
NEVER = "redis://127.0.0.1:1/0"


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def second():
    with redis_server() as server:
        yield server


def waiting(server: RedisServer) -> int:
    """How many calls lie in the server's default queue."""
    with TQ("look", broker=server.url, set_as_current=False) as app:
        return app.broker.depths(["celery"])["celery"]


@pytest.mark.parametrize("joined", [False, True])
def test_the_first_broker_that_answers_is_used(server, joined):
    given = f"{NEVER};{server.url}" if joined else [NEVER, server.url]
    with TQ("x", broker_url=given, set_as_current=False) as app:
        app.send_task("any")
        assert waiting(server) == 1
        assert app.broker.url.startswith("redis+socket:") or str(server.socket) in app.broker.url


def test_when_no_broker_answers_the_error_names_them_all():
    with TQ("x", broker_url=[NEVER, "redis://127.0.0.1:2/0"], set_as_current=False) as app:
        app.conf.task_publish_retry = False
        with pytest.raises(BrokerConnectionError, match=r"127\.0\.0\.1:1.*127\.0\.0\.1:2"):
            app.send_task("any")


def test_brokers_of_different_kinds_are_refused():
    app = TQ("x", broker_url=["memory://", NEVER], set_as_current=False)
    with app, pytest.raises(ConfigError, match="one kind"):
        app.send_task("any")


def test_a_call_goes_to_the_next_broker_when_the_first_dies(server, second):
    with TQ("x", broker_url=[server.url, second.url], set_as_current=False) as app:
        app.send_task("any")
        server.kill()
        app.send_task("any")
        assert waiting(second) == 1


def test_a_worker_moves_to_the_next_broker_when_the_first_dies(server, second):
    urls = f"{server.url};{second.url}"
    with redis_server() as results:
        env = {"PEER_BACKEND": results.url}
        with tq_worker(urls, **env), TQ("x", backend=results.url, set_as_current=False) as app:
            app.conf.broker_url = urls
            assert app.send_task("peer.add", (1, 2)).get(timeout=20) == 3
            server.kill()
            assert app.send_task("peer.add", (3, 4)).get(timeout=40) == 7


def test_calls_are_written_to_the_write_url_and_read_from_the_read_url(server, second):
    with TQ("x", broker_url=NEVER, set_as_current=False) as app:
        app.conf.update(broker_write_url=server.url, broker_read_url=second.url)
        app.send_task("any")
        assert waiting(server) == 1
        assert app.read_broker.depths(["celery"]) == {"celery": 0}


def test_one_connection_serves_when_both_urls_are_the_same(server):
    with TQ("x", broker_url=NEVER, set_as_current=False) as app:
        app.conf.update(broker_write_url=server.url, broker_read_url=server.url)
        assert app.read_broker is app.broker


def test_a_publish_is_tried_again_until_the_broker_is_back(server):
    policy = {"max_retries": 100, "interval_start": 0.05, "interval_step": 0, "interval_max": 1}
    with TQ("x", broker=server.url, set_as_current=False) as app:
        app.send_task("any")
        server.kill()
        sender = threading.Thread(
            target=app.send_task, args=("later",), kwargs={"retry_policy": policy}
        )
        sender.start()
        eventually(sender.is_alive)
        server.start()
        sender.join(30)
        assert not sender.is_alive()
        assert waiting(server) == 1


def test_a_publish_gives_up_as_its_policy_says(server):
    policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    with TQ("x", broker=server.url, set_as_current=False) as app:
        tries = []
        publish = app.broker.publish
        app.broker.publish = lambda messages: (tries.append(time.time()), publish(messages))
        app.send_task("any")
        tries.clear()
        server.kill()
        with pytest.raises(BrokerConnectionError):
            app.send_task("any", retry_policy=policy)
        assert len(tries) == 3
        with pytest.raises(BrokerConnectionError):
            app.send_task("any", retry=False)
        assert len(tries) == 4


def test_the_first_publish_is_tried_again_as_well(server):
    policy = {"max_retries": 2, "interval_start": 0.01, "interval_step": 0, "interval_max": 0.01}
    server.kill()
    with TQ("x", broker=server.url, set_as_current=False) as app:
        tries = []
        declare = app.broker.declare
        app.broker.declare = lambda queues: (tries.append(queues), declare(queues))
        with pytest.raises(BrokerConnectionError):
            app.send_task("any", retry_policy=policy)
        assert len(tries) == 3


def test_a_call_that_is_sent_is_told_in_an_event(server):
    with TQ("x", broker=server.url, set_as_current=False) as app:
        app.conf.task_send_sent_event = True
        events = []
        receiver = app.events.receiver()
        receiver.start()
        try:
            eventually(lambda: receiver.connected, within=10)
            result = app.send_task("any", (1, "two"), {"three": 3}, queue="other")

            def told() -> bool:
                for batch in receiver.drain():
                    events.extend(batch.events)
                return any(event["type"] == "task-sent" for event in events)

            eventually(told, within=10)
        finally:
            receiver.stop(time.monotonic() + 5)
    (event,) = [event for event in events if event["type"] == "task-sent"]
    assert (event["uuid"], event["name"], event["queue"]) == (result.id, "any", "other")
    assert (event["args"], event["kwargs"]) == ("(1, 'two')", "{'three': 3}")
    assert (event["root_id"], event["parent_id"], event["retries"]) == (result.id, None, 0)
    assert event["hostname"].startswith("gen")


def test_programs_that_speak_kombu_get_its_connections(server):
    with TQ("x", broker=server.url, set_as_current=False) as app:
        with app.connection() as connection, connection.SimpleQueue("plain") as queue:
            queue.put({"of": "mine"})
            message = queue.get(timeout=5)
            message.ack()
            assert message.payload == {"of": "mine"}
        with app.connection_for_read() as connection:
            assert connection.transport_cls == "redis"
        with app.producer_pool.acquire(block=True) as producer:
            producer.publish({"of": "mine"}, routing_key="celery")
        with app.pool.acquire(block=True) as connection:
            assert connection.default_channel.client.llen("celery") == 1
        kombu.pools.reset()
