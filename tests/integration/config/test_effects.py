"""Settings that no other test is about, each seen at work on a real broker."""

import json
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import amqp
import pytest

from tests.integration.worker.conftest import Cluster
from tests.support.services import RedisServer, rabbitmq_url
from tests.support.waiting import eventually
from tq import TQ
from tq.config import UnusedSettingWarning
from tq.errors import BackendError, ConfigError, OperationalError, QueueNotFound

pytestmark = pytest.mark.timeout(120)
LONG = 30


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = RedisServer("redis")
    server.start()
    made = Cluster(server)
    try:
        yield made
    finally:
        made.close()
        server.close()


def settings(**values: Any) -> dict[str, str]:
    return {"PEER_SETTINGS": json.dumps(values)}


# -- the worker --------------------------------------------------------------------------------


def test_a_task_killed_by_its_time_limit_is_given_back_where_timeouts_are_not_acked(
    cluster: Cluster,
) -> None:
    cluster.start(env=settings(task_acks_on_timeout=False, task_time_limit=1))
    cluster.send("mark_slowly_once", "k")
    eventually(lambda: cluster.ended() == {"k": 1}, within=LONG)
    assert cluster.started() == {"k": 2}


def test_a_failed_task_is_rejected_where_failures_are_not_acked(cluster: Cluster) -> None:
    cluster.start(env=settings(task_acks_on_failure=False))
    result = cluster.send("fail")
    assert isinstance(result.get(timeout=LONG, propagate=False), ValueError)
    eventually(lambda: cluster.unsettled() == 0, within=LONG)


def test_a_worker_without_prefetch_holds_no_more_than_it_runs(cluster: Cluster) -> None:
    cluster.start(env=settings(worker_disable_prefetch=True), concurrency=2)
    cluster.send_marks(6, seconds=600)
    eventually(lambda: len(cluster.started()) == 2, within=LONG)
    assert cluster.redis.hlen("unacked") == 2


def test_rate_limits_can_be_disabled(cluster: Cluster) -> None:
    tight = settings(task_default_rate_limit="1/h", worker_disable_rate_limits=True)
    cluster.start(env=tight)
    assert [cluster.send("add", n, n).get(timeout=LONG) for n in range(3)] == [0, 2, 4]


def test_remote_control_can_be_switched_off(cluster: Cluster) -> None:
    cluster.start(env=settings(worker_enable_remote_control=False))
    assert cluster.send("add", 1, 2).get(timeout=LONG) == 3
    assert cluster.app.control.ping(timeout=1.0) == []


def test_a_worker_that_must_not_reconnect_ends_with_its_connection(cluster: Cluster) -> None:
    worker = cluster.start(env=settings(broker_connection_retry=False))
    cluster.server.kill()
    eventually(lambda: worker.process.poll() is not None, within=LONG)
    assert worker.process.returncode != 0
    cluster.server.start()


def test_log_lines_are_coloured_where_asked_for(cluster: Cluster) -> None:
    worker = cluster.start(env=settings(worker_log_color=True))
    cluster.send("fail")
    eventually(lambda: "\x1b[" in worker.output(), within=LONG)


def test_log_lines_are_json(cluster: Cluster) -> None:
    worker = cluster.start(env=settings(worker_log_json=True))
    assert cluster.send("add", 1, 2).get(timeout=LONG) == 3
    eventually(lambda: "succeeded" in worker.output(), within=LONG)
    lines = [json.loads(line) for line in worker.output().splitlines() if line.startswith("{")]
    assert any("succeeded" in str(line) for line in lines)


# -- messages and results ----------------------------------------------------------------------


def test_pickle_is_read_where_it_is_accepted_and_allowed(cluster: Cluster) -> None:
    cluster.start(env=settings(accept_content=["json", "pickle"], allow_insecure_serializers=True))
    cluster.app.conf.update(accept_content=["json", "pickle"], allow_insecure_serializers=True)
    result = cluster.send("add", (1,), (2,), serializer="pickle")
    assert result.get(timeout=LONG) == [1, 2]


def test_a_message_above_the_bound_goes_to_the_dead_letters(cluster: Cluster) -> None:
    worker = cluster.start(env=settings(message_max_bytes=20_000))
    cluster.send("add", "a" * 40_000, "b")
    eventually(lambda: cluster.redis.hlen("unacked") == 0 and "too_large" in worker.output(), LONG)
    assert cluster.send("add", "a", "b").get(timeout=LONG) == "ab"


def test_results_carry_the_backends_own_prefix(cluster: Cluster) -> None:
    options = {"global_keyprefix": "mine_"}
    cluster.start(env=settings(result_backend_transport_options=options))
    cluster.app.conf.result_backend_transport_options = options
    result = cluster.send("add", 1, 2)
    assert result.get(timeout=LONG) == 3
    assert cluster.redis.exists(f"mine_celery-task-meta-{result.id}")


@pytest.mark.parametrize("name", ["redis_socket_timeout", "redis_socket_connect_timeout"])
def test_a_backend_that_does_not_answer_is_given_up(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        with TQ("t", broker="memory://", backend=url, set_as_current=False) as app:
            app.conf.update({"redis_socket_timeout": 0.3, name: 0.2})
            result = app.AsyncResult("any")
            with pytest.raises(BackendError):
                _ = result.state


def attempts(retries: int) -> int:
    """How often a publish turns to a server that hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        with TQ("t", broker=url, backend="disabled://", set_as_current=False) as app:
            policy = {"max_retries": retries, "interval_start": 0, "interval_step": 0}
            app.conf.update(task_publish_retry_policy=policy, broker_connection_timeout=0.2)
            app.conf.broker_transport_options = {"socket_timeout": 0.2}
            with pytest.raises(OperationalError):
                app.send_task("x")
        count = 0
        while True:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


def test_a_publish_is_tried_as_often_as_the_policy_says() -> None:
    once = attempts(0)
    assert once > 0
    assert attempts(2) == 3 * once


def test_the_pool_of_kombu_connections_has_its_limit(cluster: Cluster) -> None:
    cluster.app.conf.broker_pool_limit = 3
    assert cluster.app.pool.limit == 3


def test_queues_are_not_made_where_that_is_off(cluster: Cluster) -> None:
    cluster.app.conf.task_create_missing_queues = False
    with pytest.raises(QueueNotFound):
        cluster.send("add", 1, 2, queue="unheard-of")


def test_a_setting_without_effect_says_so() -> None:
    with TQ("t", broker="memory://", set_as_current=False) as app:
        with pytest.warns(UnusedSettingWarning, match="redis_max_connections"):
            app.conf.redis_max_connections = 7
        assert "redis_max_connections" in app.conf.unused


def test_a_start_method_that_no_pool_has_is_refused() -> None:
    app = TQ("t", broker="memory://", set_as_current=False)
    with pytest.raises(ConfigError, match="worker_pool_start_method must be one of"):
        app.conf.worker_pool_start_method = "forkserver"


# -- queues on RabbitMQ ------------------------------------------------------------------------


@pytest.fixture
def queue() -> Iterator[str]:
    name = f"tqt.{uuid.uuid4().hex}"
    rabbitmq_url()
    yield name
    with amqp.Connection("127.0.0.1:5672") as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)


def declared_with(name: str, **arguments: Any) -> bool:
    """Whether the server has a queue with just these arguments."""
    with amqp.Connection("127.0.0.1:5672") as connection:
        try:
            connection.channel().queue_declare(
                name, durable=True, auto_delete=False, arguments=arguments
            )
        except amqp.exceptions.PreconditionFailed:
            return False
        return True


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"task_default_queue_type": "quorum"}, {"x-queue-type": "quorum"}),
        ({"task_queue_max_priority": 7}, {"x-max-priority": 7}),
    ],
)
def test_the_default_queue_is_declared_as_set(
    queue: str, values: dict[str, Any], arguments: dict[str, Any]
) -> None:
    with TQ("t", broker=rabbitmq_url(), backend="disabled://", set_as_current=False) as app:
        app.conf.update(task_default_queue=queue, **values)
        app.send_task("x")
        assert not declared_with(queue)
        assert declared_with(queue, **arguments)


def test_a_queue_that_is_made_on_the_fly_is_of_the_set_type_and_exchange(queue: str) -> None:
    with TQ("t", broker=rabbitmq_url(), backend="disabled://", set_as_current=False) as app:
        app.conf.update(
            task_create_missing_queue_type="quorum", task_create_missing_queue_exchange_type="topic"
        )
        app.send_task("x", queue=queue)
        assert declared_with(queue, **{"x-queue-type": "quorum"})
    with amqp.Connection("127.0.0.1:5672") as connection:
        # Passive: an error when there is none, or one of another type.
        connection.channel().exchange_declare(queue, "topic", durable=True, auto_delete=False)
