"""The services around a worker's task flow: control, mingle, gossip, state file, watchdog.

Source: DESIGN 5; PROTOCOL 11.
"""

from collections.abc import Callable
from typing import Any

from tq.brokers.base import Broker, Exchange, Queue
from tq.control.mailbox import Mailbox
from tq.control.node import Node
from tq.errors import DecodeError, InvalidTaskError
from tq.service import Service
from tq.worker.autoscale import Autoscaler
from tq.worker.gossip import Gossip
from tq.worker.mingle import Mingle
from tq.worker.remote import RemoteControl
from tq.worker.revocations import Revocations
from tq.worker.statedb import StateFile
from tq.worker.watchdog import Watchdog

__all__ = ["after_flow", "before_flow", "direct_queue", "shared_revocations"]


def direct_queue(hostname: str) -> Queue:
    """Return the queue that reaches this worker only (`worker_direct`).

    Source: PROTOCOL 5; celery/utils/nodenames.py, `worker_direct`.
    """
    return Queue(
        name=f"{hostname}.dq2", exchange=Exchange(name="C.dq2", type="direct"), routing_key=hostname
    )


def shared_revocations(worker: Any) -> Revocations | None:
    """Build the tie to the revoked ids that the broker's server remembers, where it does."""
    broker = worker.app.broker
    if not hasattr(broker, "revoked"):
        return None
    return Revocations(worker.loop, broker, worker.dispatcher.revoked, worker.clock)


def before_flow(worker: Any) -> list[Service]:
    """Build what must be ready before the first task is taken."""
    if worker.options.statedb is None:
        return []
    revoked = worker.dispatcher.revoked
    return [StateFile(worker.loop, worker.options.statedb, revoked, worker.app.clock, worker.clock)]


def after_flow(worker: Any) -> list[Service]:
    """Build what begins when tasks flow; sets what commands need of it in `worker.state`."""
    settings, options = worker.app.conf.settings, worker.options
    services: list[Service] = []
    if settings.worker_enable_remote_control:
        services.append(_control(worker))
        if options.mingle:
            services.append(_mingle(worker))
    # Gossip hears heartbeats; without ours the others would take this worker for lost.
    if options.gossip and options.heartbeat:
        services.append(_gossip(worker))
    if options.autoscale is not None:
        services.append(_autoscaler(worker))
    if worker.revocations is not None:
        services.append(worker.revocations)
        worker.state.share_revoked = worker.revocations.share
    if hasattr(worker.pool, "restart") and settings.worker_pool_restarts:
        worker.state.restart_pool = worker.pool.restart
    services.append(_watchdog(worker))
    return services


def _control(worker: Any) -> RemoteControl:
    app, settings = worker.app, worker.app.conf.settings
    node = Node(
        app.broker,
        worker.hostname,
        app.clock,
        namespace=settings.control_exchange,
        **worker.control_queues,
    )
    return RemoteControl(worker.loop, node, lambda: worker.commands)


def _mingle(worker: Any) -> Mingle:
    app, settings = worker.app, worker.app.conf.settings
    mailbox = Mailbox(
        app.broker,
        namespace=settings.control_exchange,
        clock=app.clock,
        **worker.control_queues,
    )
    return Mingle(
        worker.loop,
        mailbox,
        worker.hostname,
        revoked=worker.dispatcher.revoked,
        lamport=app.clock,
        clock=worker.clock,
    )


def _gossip(worker: Any) -> Gossip:
    app, settings = worker.app, worker.app.conf.settings
    gossip = Gossip(
        worker.loop,
        app.broker,
        worker.emitter,
        hostname=worker.hostname,
        queue_prefix=settings.event_queue_prefix,
        exchange=settings.event_exchange,
        flush=worker.heartbeat.schedule_flush,
        elected=_caller(app),
        **worker.event_queues,
    )
    worker.state.stand = gossip.stand
    return gossip


def _caller(app: Any) -> Callable[[str, Any], None]:
    def call(topic: str, action: Any) -> None:
        """Send the task that an election was about; another topic is nobody's here."""
        if topic != "task":
            return
        try:
            app.signature(action).apply_async()
        except (TypeError, ValueError, KeyError, AttributeError, DecodeError) as exc:
            raise InvalidTaskError(f"no task can be made of {action!r:.200}: {exc}") from exc

    return call


def _autoscaler(worker: Any) -> Autoscaler:
    scaler = Autoscaler(
        worker.loop,
        worker.pool,
        lambda: len(worker.dispatcher.requests),
        *worker.options.autoscale,
    )
    worker.state.autoscaler = scaler
    return scaler


def _watchdog(worker: Any) -> Watchdog:
    broker: Broker = worker.app.read_broker
    return Watchdog(
        lambda: worker.fetcher.progress, broker.ping, worker.app.conf.settings.broker_lease
    )
