"""The Redis broker: publishing, declaring, looking; consumers and subscriptions start here."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tq.brokers.base import Glimpse, Message, Queue, QueueSight
from tq.brokers.redis.address import parse_url
from tq.brokers.redis.bindings import bind_commands, binding_scripts
from tq.brokers.redis.checkup import Facts, examine
from tq.brokers.redis.connection import Argument, Connection, Pool
from tq.brokers.redis.consumer import Consumer
from tq.brokers.redis.dead_letters import DeadLetters
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.options import Options, read_options
from tq.brokers.redis.parked import parked
from tq.brokers.redis.publication import opening_commands, publish_commands
from tq.brokers.redis.revocations import read_revoked, revoke_commands
from tq.brokers.redis.scripts import load, run_pipeline
from tq.brokers.redis.settler import Settler
from tq.brokers.redis.subscription import FanoutSubscription, ListSubscription
from tq.brokers.redis.survey import peek, survey

__all__ = ["Broker"]


class Broker:
    """A Redis or Valkey server; see `tq.brokers.base.Broker`. Safe to share between threads."""

    driver = "redis"
    shows_messages = True
    location: str | None

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Read URL and transport options; nothing is opened yet.

        Raises:
            ConfigError: One of them makes no sense.
        """
        self._address = parse_url(url, options)
        self.options: Options = read_options(options or {})
        self.keys = Keys(options, self._address.db)
        self.pool = Pool(self._address)
        self.url = self._address.url
        self.location = self._address.location

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<Broker {self.url}>"

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish to any exchange type, in one round trip."""
        if messages:
            self._run(publish_commands(messages, self.keys), "publish")

    def publish_openings(self, lots: Mapping[tuple[str, int], Sequence[bytes]]) -> None:
        """Publish envelopes that lack their delivery tags, in one round trip."""
        if lots:
            self._run(opening_commands(lots, self.keys))

    def broadcast(self, message: Message) -> int:
        """Publish to a fanout exchange; `PUBLISH` counts the subscribers."""
        (command,) = publish_commands([message], self.keys)
        with self.pool.lease() as connection:
            return int(connection.call(*command))

    def declare(self, queues: Sequence[Queue]) -> None:
        """Bind queues as kombu does; lists need no declaration."""
        commands = [command for queue in queues for command in bind_commands(queue, self.keys)]
        if commands:
            with self.pool.lease() as connection:
                run_pipeline(connection, commands, binding_scripts())

    def consume(self, queues: Sequence[Queue], *, prefetch: int = 0) -> Consumer:
        """Start to consume; messages are pulled, so `prefetch` changes nothing."""
        consumer = Consumer(self._address, self.keys, self.options)
        try:
            for queue in queues:
                consumer.add(queue)
            consumer.beat()
        except BaseException:
            consumer.close()
            raise
        return consumer

    def settler(self, consumer_id: str) -> Settler:
        """Return a settler for another process's deliveries."""
        return Settler(Connection(self._address), self.keys, consumer_id, self.options.dead_caps)

    def subscribe(self, queue: Queue) -> "FanoutSubscription | ListSubscription":
        """Declare a private queue, bind it, and receive from it."""
        fanout = queue.exchange is not None and queue.exchange.type == "fanout"
        kind = FanoutSubscription if fanout else ListSubscription
        return kind(self._address, self.keys, queue, self.options)

    def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Count ready messages per queue, all priorities together."""
        commands: list[tuple[Argument, ...]] = [
            ("LLEN", key) for name in queues for key in self.keys.queue_steps(name)
        ]
        lengths = self.pool.pipeline(commands)
        steps = len(self.keys.steps)
        return {
            name: sum(lengths[index * steps : (index + 1) * steps])
            for index, name in enumerate(queues)
        }

    def survey(self, queues: Sequence[str]) -> dict[str, QueueSight]:
        """Say what is in and around queues, in one round trip."""
        return survey(self.pool, self.keys, queues, self.bindings)

    def peek(self, queue: str, limit: int) -> list[Glimpse]:
        """Read the messages that come next, and leave them there."""
        return peek(self.pool, self.keys, self.options.limits, queue, limit)

    def parked(self, limit: int) -> tuple[int, list[tuple[float, Glimpse]]]:
        """Say how many messages wait for their time, and read those that are due first."""
        return parked(self.pool, self.keys, self.options.limits, limit)

    def purge(self, queue: str) -> int:
        """Delete the ready messages of a queue."""
        lists = self.keys.queue_steps(queue)
        commands: list[tuple[Argument, ...]] = [("MULTI",)]
        commands += [("LLEN", key) for key in lists]
        commands += [("UNLINK", *lists), ("EXEC",)]
        lengths = self.pool.pipeline(commands)[-1]
        return sum(lengths[:-1])

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """List `(routing key, queue)` bound to an exchange."""
        members = self.pool.call("SMEMBERS", self.keys.binding(exchange))
        found = []
        for member in members:
            parts = member.decode("utf-8", "replace").split(self.keys.sep)
            if len(parts) == 3:
                found.append((parts[0], parts[2]))
        return sorted(found)

    def ping(self, timeout: float) -> None:
        """Reach the server on a connection of its own, within `timeout` seconds."""
        probe = Connection(
            msgspec.structs.replace(self._address, timeout=timeout, connect_timeout=timeout)
        )
        try:
            probe.call("PING")
        finally:
            probe.close()

    def dead_letters(self) -> DeadLetters:
        """Return what looks after the messages that were given up."""
        return DeadLetters(self.pool, self.keys, self.options.limits)

    def examine(self) -> Facts:
        """Ask the server how it is set up."""
        return examine(self.pool, self.keys)

    def revoke(self, ids: Sequence[str], expires: float) -> None:
        """Remember revoked task ids until a wall timestamp."""
        self.pool.pipeline(revoke_commands(self.keys.revoked(), ids, expires))

    def revoked(self, since: float, limit: int) -> list[tuple[str, float]]:
        """Return `(task id, expiry)` of revocations that expire at `since` or later.

        Args:
            since: Wall-clock timestamp.
            limit: Most entries; the latest are kept.
        """
        reply = self.pool.call(
            "ZREVRANGEBYSCORE", self.keys.revoked(), "+inf", since, "WITHSCORES", "LIMIT", 0, limit
        )
        return read_revoked(reply)

    def _run(self, commands: list[tuple[Argument, ...]], *scripts: str) -> None:
        """Run commands in one round trip."""
        with self.pool.lease() as connection:
            if len(commands) == 1 and commands[0][0] != "EVALSHA":
                connection.call(*commands[0])
            else:
                run_pipeline(connection, commands, [load(name) for name in scripts])

    def close(self) -> None:
        """Close the idle connections."""
        self.pool.close()
