"""`tq migrate`."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tqconsole.cli import exits
from tqconsole.cli.confirm import plural, refuse_when_read_only
from tqconsole.cli.durations import Duration
from tqconsole.cli.options import Globals, app_options, load_app, some_names, split_names
from tqconsole.cli.output import note
from tqconsole.cli.trail import audited

if TYPE_CHECKING:
    from tq.brokers.base import Broker, Delivery, Queue

__all__ = ["command"]

_BATCH = 500


class _Migration:
    """Publishes to one broker what another has, and only then takes it away there."""

    def __init__(
        self, source: "Broker", target: "Broker", places: dict[str, str], tasks: Sequence[str]
    ) -> None:
        """Prepare.

        Args:
            source: Where messages are.
            target: Where they go.
            places: By queue there, the queue here.
            tasks: Names of the tasks to take; all when empty.
        """
        self.moved = 0
        self._target, self._places, self._tasks = target, places, set(tasks)
        self._source = source

    def run(
        self, queues: "Sequence[Queue]", *, take: bool, limit: int | None, timeout: float | None
    ) -> None:
        """Move until nothing has come for `timeout` seconds, for ever without one.

        Args:
            queues: Of the source.
            take: Acknowledge there what was published; else everything is put back at the end.
            limit: Most messages.
            timeout: In seconds.

        Raises:
            BrokerError: A broker failed; what was not published is put back.
        """
        consumer: Any = self._source.consume(queues, prefetch=0)
        heard = time.monotonic()
        try:
            while limit is None or self.moved < limit:
                most = _BATCH if limit is None else min(_BATCH, limit - self.moved)
                found = consumer.fetch(most, min(1.0, timeout or 1.0))
                consumer.maintain()
                if found:
                    heard = time.monotonic()
                elif timeout is not None and time.monotonic() - heard >= timeout:
                    return
                chosen = [delivery for delivery in found if self._is_chosen(delivery)]
                self._target.publish([self._addressed(delivery) for delivery in chosen])
                if take:
                    # Published first: a crash between the two leaves a message twice, never none.
                    consumer.ack([delivery.tag for delivery in chosen])
                self.moved += len(chosen)
        finally:
            consumer.release()
            consumer.close()

    def _is_chosen(self, delivery: "Delivery") -> bool:
        return not self._tasks or delivery.message.headers.get("task") in self._tasks

    def _addressed(self, delivery: "Delivery") -> Any:
        to = self._places.get(delivery.queue, delivery.queue)
        return msgspec.structs.replace(
            delivery.message, exchange="", exchange_type="direct", routing_key=to
        )


@click.command("migrate", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.argument("destination")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Most messages.")
@click.option(
    "-t",
    "--timeout",
    type=Duration(0.1, 86400),
    default=1.0,
    show_default=True,
    help="End when nothing came for so long.",
)
@click.option("-a", "--ack-messages", is_flag=True, help="Take them away from SOURCE: else a copy.")
@click.option(
    "-T",
    "--tasks",
    multiple=True,
    metavar="A,B",
    callback=some_names,
    help="Only tasks of these names.",
)
@click.option(
    "-Q",
    "--queues",
    multiple=True,
    metavar="A,FROM:TO",
    callback=some_names,
    help="These queues; FROM:TO gives one another name.",
)
@click.option("-F", "--forever", is_flag=True, help="Go on with what comes later.")
@app_options
def command(
    given: Globals,
    source: str,
    destination: str,
    limit: int | None,
    timeout: float,
    ack_messages: bool,
    tasks: tuple[str, ...],
    queues: tuple[str, ...],
    forever: bool,
) -> int:
    """Publish on the broker DESTINATION what waits in the queues of the broker SOURCE.

    Both are URLs. Without -Q: the queues of the application. Messages that workers hold, and those
    that tq has parked until their time, stay where they are.
    """  # fmt: skip
    refuse_when_read_only(given, "migrate")
    app = load_app(given)
    from tq.brokers.base import Queue  # deferred: after the application
    from tq.brokers.connect import connect

    names = [name.partition(":") for name in split_names(queues)]
    places = {first: to or first for first, _, to in names} or {
        name: name for name in app.queues.consume_from
    }
    known = app.queues.consume_from
    options = app.conf.broker_transport_options
    here, there = connect(source, options), connect(destination, options)
    if here.url == there.url and all(first == to for first, to in places.items()):
        raise click.UsageError("SOURCE and DESTINATION are the same queues")
    here.ping(app.conf.broker_connection_timeout or 4.0)
    there.ping(app.conf.broker_connection_timeout or 4.0)
    there.declare([known.get(to) or Queue(name=to) for to in places.values()])
    app.conf.broker_url = source  # names the audit file
    line = ["migrate", here.url, there.url, *(f"-Q{first}:{to}" for first, to in places.items())]
    migration = _Migration(here, there, places, split_names(tasks))
    taken = [known.get(first) or Queue(name=first) for first in places]
    act_on = {"to": there.url, "queues": places, "take": ack_messages}
    verb = "moved" if ack_messages else "copied"
    try:
        with audited(app, line, "migrate", act_on) as act:
            try:
                migration.run(
                    taken, take=ack_messages, limit=limit, timeout=None if forever else timeout
                )
            finally:
                act.answered("broker", f"{verb} {plural(migration.moved, 'message')}")
    except KeyboardInterrupt:
        note(f"interrupted: {verb} {plural(migration.moved, 'message')}", given.quiet)
        return exits.INTERRUPTED
    click.echo(f"{verb} {plural(migration.moved, 'message')} to {there.url}")
    return exits.OK
