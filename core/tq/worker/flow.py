"""How tasks flow through the worker: fetched, decided, handed out, settled, told.

Source: architecture.md, "The worker's hot path".
"""

import logging

from tq.brokers.base import Dead, Delivery
from tq.clock import Clock
from tq.pools.base import PoolEvent
from tq.worker.actions import Actions
from tq.worker.conclusions import Concluder
from tq.worker.dispatcher import Dispatcher
from tq.worker.effects import Effects
from tq.worker.fetcher import Fetcher
from tq.worker.hands import Hands
from tq.worker.reporter import Reporter
from tq.worker.settler import Settler
from tq.worker.stopping import Shutdown

__all__ = ["TaskFlow"]

logger = logging.getLogger(__name__)


class TaskFlow:
    """Performs what the dispatcher decides. Owned by the loop thread.

    The services it joins are given after they were made, since each of them calls back here.

    Attributes:
        prefetch_limit: Most deliveries held at once, or None when the pool alone decides.
    """

    fetcher: Fetcher
    hands: Hands
    settler: Settler
    concluder: Concluder
    reporter: Reporter
    shutdown: Shutdown

    def __init__(self, dispatcher: Dispatcher, clock: Clock, prefetch_limit: int | None) -> None:
        """Keep the dispatcher."""
        self.dispatcher = dispatcher
        self.prefetch_limit = prefetch_limit
        self._clock = clock

    def _now(self) -> float:
        consumer = self.fetcher.consumer
        return consumer.now() if consumer is not None else self._clock.time()

    def room(self) -> int:
        """Say how many more deliveries are worth having now."""
        if self.settler.congested:
            return 0
        room = self.hands.pool.credit()
        if self.prefetch_limit is not None:
            room = min(room, self.prefetch_limit - len(self.dispatcher.requests))
        return room

    def delivered(self, deliveries: list[Delivery]) -> None:
        """Take in what was fetched."""
        self._perform(self.dispatcher.accept(deliveries, self._now()))

    def collected(self, events: list[PoolEvent]) -> None:
        """Take in what the pool told."""
        self._perform(self.dispatcher.collected(events, self._now()))
        if self.shutdown.begun:
            self.shutdown.look()
        else:
            self.fetcher.fetch()

    def given_up(self, dead: list[Dead]) -> None:
        """Record what the broker gave up."""
        for item in dead:
            logger.error(
                "a message of queue %s went to the dead letters: %s", item.queue, item.reason
            )
            self.dispatcher.buried[item.reason] += 1
            self.concluder.record_dead(item)

    def connected(self) -> None:
        """Take note of the consumer, and write what waited for it."""
        consumer = self.fetcher.consumer
        self.dispatcher.consumer_id = consumer.id if consumer is not None else ""
        self.settler.flush()

    def settled(self, effects: Effects) -> None:
        """Take note of effects that were written, or came too late."""
        if not effects.done:
            self.dispatcher.lost_leases += 1
            logger.warning(
                "the lease of %s was lost before its task was settled; another worker has it",
                effects.settlement.tag,
            )

    def switch_reports(self) -> None:
        """Find out whether anybody listens to the course of ordinary tasks."""
        self.dispatcher.reports = self.reporter.wanted

    def _perform(self, actions: Actions) -> None:
        """Do what was decided; settlements first, and always before their burials."""
        settler = self.settler
        settler.settle(actions.effects)
        settler.add("record", actions.record)
        settler.add("ack", actions.ack)
        if actions.conclude:
            self.concluder.conclude(actions.conclude)
        settler.add("forget", actions.forget)
        settler.add("park", actions.park)
        settler.add("bury", actions.bury)
        settler.add("requeue", actions.requeue)
        settler.add("lost", [request.delivery.tag for request in actions.lost])
        if actions.submit:
            self.hands.submit(actions.submit)
        if actions.reports:
            self.reporter.tell(actions.reports)
