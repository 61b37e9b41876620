"""Takes messages in batches under a lease, and answers for each until it is settled."""

import itertools
import logging
import os
import secrets
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tq.brokers.base import Dead, Delivery, Queue, Settled, Settlement
from tq.brokers.redis.address import Address
from tq.brokers.redis.bindings import bind_commands, binding_lifetime, binding_scripts
from tq.brokers.redis.connection import Argument, Connection
from tq.brokers.redis.deliveries import count_loss, read_dead, read_delivery
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.lease import Lease, Taken
from tq.brokers.redis.options import Options
from tq.brokers.redis.publication import queue_json
from tq.brokers.redis.scripts import call_script, load, run_pipeline
from tq.brokers.redis.settler import Settler
from tq.brokers.redis.waiters import Waiters
from tq.errors import BrokerError, DecodeError
from tq.nodename import host_name

__all__ = ["Consumer"]

_log = logging.getLogger(__name__)

# Most messages of one script call, bound by what Lua's unpack takes (8000 with two per message).
_MAX_FETCH = 1000

# Seconds between looks at lists that nobody waits at: lower priorities, mostly.
_POLL = 0.1
_DUE_LIMIT = 500
_SWEEP_INTERVAL = 60.0


class _Source(msgspec.Struct, frozen=True):
    """A list to take from, the queue it belongs to, and the list its messages return to."""

    key: str
    queue: str
    home: str


class _Order(msgspec.Struct, frozen=True):
    """One order of looking at the sources, with the arguments for `lua/fetch.lua` prepared."""

    sources: tuple[_Source, ...]
    keys: tuple[str, ...]
    names: tuple[bytes, ...]


class Consumer:
    """Consumes from Redis; see `tq.brokers.base.Consumer`. Owned by one thread.

    Whatever it took is in `unacked` under its lease, from where others take it over when
    `maintain` is not called for that long.
    """

    maintain_interval = _POLL

    def __init__(self, address: Address, keys: Keys, options: Options) -> None:
        """Prepare; `add` names the queues."""
        # The tag's prefix: no spaces, which separate tag and list in `tq:delayed`.
        host = "".join(c if c.isalnum() or c in "-._" else "-" for c in host_name())
        self.id = f"{host}:{os.getpid()}:{int(time.time())}-{secrets.token_hex(3)}"
        self._keys = keys
        self._options = options
        self._connection = Connection(address)
        self._settler = Settler(self._connection, keys, self.id, options.dead_caps)
        self._waiters = Waiters(address, min(1.0, options.lease / 4))
        self._lease = Lease(self._connection, keys, self.id, options)
        self._owned = (keys.unacked(), keys.unacked_index(), keys.tags(self.id))
        self._fetch_keys = (
            keys.unacked(),
            keys.unacked_index(),
            keys.sequence(),
            keys.tags(self.id),
            keys.dead(),
            keys.dead_bytes(),
            keys.consumers(),
        )
        self._queues: dict[str, Queue] = {}
        self._orders: list[_Order] = []
        self._turn = 0
        self._held: dict[str, str] = {}  # tag -> list to return to, oldest first
        self._given_up: list[Dead] = []
        self._hungry = False  # the last fetch got less than it asked for
        self._fetched_at = 0.0
        self._looked_at = 0.0
        self._swept_at = time.monotonic()
        self._bound_at = time.monotonic()

    def __repr__(self) -> str:
        """Show id and load."""
        return f"<Consumer {self.id} of {', '.join(self._queues)}: {len(self._held)} held>"

    def fileno(self) -> int:
        """Return a descriptor that turns readable when `fetch` may have something."""
        return self._waiters.fileno()

    # Taking.

    def fetch(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` deliveries, waiting up to `timeout` seconds for the first.

        Raises:
            BrokerConnectionError: No answer. What the server may have handed out meanwhile comes
                back to its queue after two beats.
            BrokerError: A key has another type than a queue's; its name is in the message.
        """
        if limit <= 0 or not self._orders:
            return []
        deadline = time.monotonic() + timeout
        while True:
            deliveries = self._fetch_now(min(limit, _MAX_FETCH))
            left = deadline - time.monotonic()
            if deliveries or left <= 0:
                return deliveries
            self._waiters.wait(min(left, _POLL))

    def _fetch_now(self, limit: int) -> list[Delivery]:
        """Take what is there, and see to it that we are woken for more."""
        self._waiters.collect()
        order = self._orders[self._turn]
        self._turn = (self._turn + 1) % len(self._orders)
        options = self._options
        arguments: tuple[Argument, ...] = (
            limit,
            f"{self.id}/",
            options.limits.message,
            *options.dead_caps,
            self.id,
            options.lease,
            *order.names,
        )
        reply = call_script(
            self._connection, load("fetch"), self._fetch_keys + order.keys, arguments
        )
        self._fetched_at = time.monotonic()
        deliveries, count = self._read(reply, order)
        self._hungry = count < limit
        if self._hungry:
            self._waiters.arm()
        else:
            self._stop_waiting()
        if reply[2]:
            self._report_wrong(reply[2], order, quiet=bool(deliveries))
        return deliveries

    def _read(self, reply: list[Any], order: _Order) -> tuple[list[Delivery], int]:
        """Turn the script's answer into deliveries; also returns how many messages it took."""
        number = reply[0]
        limits = self._options.limits
        deliveries: list[Delivery] = []
        unreadable: list[tuple[str, str]] = []
        count = 0
        for part in reply[3:]:
            source = order.sources[part[0] - 1]
            for raw in part[1:]:
                tag = f"{self.id}/{number}"
                number += 1
                count += 1
                self._held[tag] = source.home
                try:
                    deliveries.append(read_delivery(tag, source.queue, raw, limits))
                except DecodeError as error:
                    unreadable.append((tag, error.reason))
                    self._note_dead(source.queue, error.reason, raw)
        garbage = reply[1]
        for at in range(0, len(garbage), 3):
            queue = order.sources[garbage[at] - 1].queue
            self._note_dead(queue, garbage[at + 1].decode(), garbage[at + 2])
        if unreadable:
            self.bury(unreadable)
        return deliveries, count

    def _note_dead(self, queue: str, reason: str, raw: bytes) -> None:
        """Remember for `maintain` what could not be read."""
        self._given_up.append(
            Dead(delivery=None, queue=queue, reason=reason, raw=raw, timestamp=time.time())
        )

    def _report_wrong(self, wrong: list[int], order: _Order, *, quiet: bool) -> None:
        """Name a key of a wrong type, as an error unless there are deliveries to return."""
        names = ", ".join(order.sources[index - 1].key for index in wrong)
        text = f"the key {names} is no list, so its queue cannot be read"
        if quiet:
            _log.error("%s", text)
        else:
            raise BrokerError(text, code="WRONGTYPE", key=names)

    def _stop_waiting(self) -> None:
        """Wait at no queue while we are busy: others shall have what arrives."""
        self._waiters.disarm(self._connection)

    def _give_back(self) -> None:
        """Stop waiting, and return what woke us without being fetched."""
        self._waiters.disarm(self._connection)
        keys = [key for name in self._queues for key in self._inbox_pair(name)]
        if keys:
            call_script(self._connection, load("giveback"), keys, ())

    def _inbox_pair(self, name: str) -> tuple[str, str]:
        """Name a queue's inbox and its list."""
        return (self._keys.inbox(self.id, name), self._keys.queue(name))

    # Settling.

    def ack(self, tags: Sequence[str]) -> None:
        """Acknowledge without effects."""
        for start in range(0, len(tags), _MAX_FETCH):
            part = tags[start : start + _MAX_FETCH]
            unacked, index, owned = self._owned
            self._connection.pipeline(
                [
                    ("MULTI",),
                    ("HDEL", unacked, *part),
                    ("ZREM", index, *part),
                    ("SREM", owned, *part),
                    ("EXEC",),
                ]
            )
            self.forget(part)

    def settle(self, items: Sequence[Settlement]) -> list[Settled]:
        """Ack and record each item; see `tq.brokers.base.Settler`."""
        settled = self._settler.settle(items)
        # With a claim the delivery stays ours until the chord's body is sent.
        self.forget(
            [item.tag for item, answer in zip(items, settled, strict=True) if answer.claim is None]
        )
        return settled

    def forget(self, tags: Sequence[str]) -> None:
        """Drop tags that another process has settled for us; no I/O."""
        for tag in tags:
            self._held.pop(tag, None)

    def reject(self, tags: Sequence[str], *, requeue: bool) -> None:
        """Drop the deliveries, or put them back first in line, one loss older.

        What goes over the delivery limit is buried instead, and returned by `maintain`.
        """
        if not requeue:
            self.ack(tags)
        elif tags:
            values = self._connection.call("HMGET", self._keys.unacked(), *tags)
            self._return(list(zip(tags, values, strict=True)))
            self.forget(tags)

    def _return(self, taken: list[Taken]) -> None:
        """Put back what ended unsettled, counting the loss; bury what was lost too often."""
        back: list[tuple[str, str, bytes]] = []
        dead: list[tuple[str, str]] = []
        limit = self._options.delivery_limit
        now = time.time()
        for tag, value in taken:
            if not value:
                back.append((tag, "", b""))  # settled or restored by a peer: only to be forgotten
                continue
            try:
                returned = count_loss(value)
            except DecodeError as error:
                dead.append((tag, error.reason))
                self._given_up.append(
                    read_dead(tag, value, error.reason, self._options.limits, now)
                )
                continue
            if limit and returned.deliveries > limit:
                dead.append((tag, "delivery_limit"))
                self._given_up.append(
                    read_dead(tag, value, "delivery_limit", self._options.limits, now)
                )
            else:
                home = self._keys.queue(returned.queue, returned.priority)
                back.append((tag, home, returned.raw))
        if dead:
            self.bury(dead)
        self._requeue(back)

    def _requeue(self, items: list[tuple[str, str, bytes]]) -> None:
        """Put back `(tag, list, raw or nothing)`, the oldest as the next to be taken."""
        ordered = sorted(items, key=lambda item: _number(item[0]), reverse=True)
        for start in range(0, len(ordered), _MAX_FETCH):
            arguments: list[Argument] = []
            for tag, home, raw in ordered[start : start + _MAX_FETCH]:
                arguments += (tag, home, raw, "R")
            call_script(self._connection, load("requeue"), self._owned, arguments)

    def park(self, items: Sequence[tuple[str, float]]) -> None:
        """Hold deliveries back in the broker until due."""
        if not items:
            return
        arguments: list[Argument] = []
        for tag, eta in items:
            home = self._held.get(tag)
            if home is not None:
                arguments += (tag, f"{eta:.6f}", home)
        keys = (*self._owned, self._keys.delayed())
        call_script(self._connection, load("park"), keys, arguments)
        self.forget([tag for tag, _ in items])

    def bury(self, items: Sequence[tuple[str, str]]) -> None:
        """Move deliveries to the dead letters."""
        if not items:
            return
        arguments: list[Argument] = [*self._options.dead_caps]
        for tag, reason in items:
            arguments += (tag, _word(reason))
        keys = (*self._owned, self._keys.dead(), self._keys.dead_bytes())
        call_script(self._connection, load("bury"), keys, arguments)
        self.forget([tag for tag, _ in items])

    # Staying alive.

    def maintain(self) -> list[Dead]:
        """Keep leases alive, take over those of the dead, release what is due."""
        now = time.monotonic()
        if now - self._looked_at >= _POLL * 0.9:
            self._look(now)
        if self._lease.beat_due(now):
            self.beat()
            self._refresh_bindings(now)
            if self._hungry and now - self._fetched_at > max(1.0, self._options.lease / 4):
                # The owner has stopped fetching without asking for less: others may go ahead.
                self._give_back()
        given_up, self._given_up = self._given_up, []
        return given_up

    def now(self) -> float:
        """Return the server's time, as its answer to the last beat told it."""
        return self._lease.now()

    def _look(self, now: float) -> None:
        """Return what is due, and ring when there is work where nobody waits."""
        self._looked_at = now
        lists: list[str] = []
        if self._hungry and self._orders:
            waited = {self._keys.queue(name) for name in self._queues}
            waited -= set(self._waiters.idle_lists)
            lists = [key for key in self._orders[0].keys if key not in waited]
        keys = (self._keys.delayed(), self._keys.unacked(), self._keys.unacked_index(), *lists)
        patience = self._options.upkeep_timeout
        _, waiting = call_script(self._connection, load("due"), keys, (_DUE_LIMIT,), patience)
        if waiting:
            self._waiters.bell.ring()

    def beat(self) -> None:
        """Renew the lease now; take over from dead consumers and find what got lost."""
        boxes = {}
        for name in self._queues:
            inbox, home = self._inbox_pair(name)
            boxes[inbox] = home
        owned, lost = self._lease.beat(boxes)
        for tag in [tag for tag in self._held if tag not in owned]:
            del self._held[tag]  # settled elsewhere, or the lease was lost: no longer ours
        own, foreign = self._lease.strangers(owned, self._held)
        if own:
            # A fetch whose answer never came: nobody has seen these, so it is no loss.
            values = self._connection.call("HMGET", self._keys.unacked(), *own)
            self._requeue(
                [(tag, self._home(value), b"") for tag, value in zip(own, values, strict=True)]
            )
        if foreign:
            values = self._connection.call("HMGET", self._keys.unacked(), *foreign)
            self._return(list(zip(foreign, values, strict=True)))
        self._given_up += lost
        for consumer_id, end in self._lease.dead_consumers():
            taken, started = self._lease.reap(consumer_id, end)
            self._given_up += started
            self._return(taken)

    def _home(self, value: bytes | None) -> str:
        """Return the list that what lies in `unacked` came from."""
        if not value:
            return ""
        try:
            returned = count_loss(value)
        except DecodeError:
            # Back to where it can be fetched and buried: the reason is found there.
            return next(iter(self._held.values()), self._orders[0].sources[-1].home)
        return self._keys.queue(returned.queue, returned.priority)

    def _refresh_bindings(self, now: float) -> None:
        """Keep the bindings of expiring queues, and sweep those of others that are gone."""
        expiring = [queue for queue in self._queues.values() if queue.expires is not None]
        if not expiring:
            return
        lifetime = min(binding_lifetime(queue.expires or 0.0) for queue in expiring)
        if now - self._bound_at >= lifetime / 3:
            self._bound_at = now
            self._bind(expiring)
        if now - self._swept_at >= _SWEEP_INTERVAL:
            self._swept_at = now
            prefixes = (self._keys.binding(""), self._keys.binding_permanent(""), 100)
            deadlines = (self._keys.binding_deadlines(),)
            call_script(self._connection, load("sweep"), deadlines, prefixes)

    # Which queues.

    def add(self, queue: Queue) -> None:
        """Begin to take from a queue, binding it."""
        self._bind([queue])
        self._queues[queue.name] = queue
        inbox, home = self._inbox_pair(queue.name)
        self._connection.call("HSET", self._keys.inboxes(self.id), inbox, home)
        self._waiters.add(home, inbox)
        self._arrange()
        self._hungry = True
        self._waiters.bell.ring()

    def _bind(self, queues: Sequence[Queue]) -> None:
        """Bind queues to their exchanges."""
        commands = [command for queue in queues for command in bind_commands(queue, self._keys)]
        if commands:
            run_pipeline(self._connection, commands, binding_scripts())

    def cancel(self, queue: str) -> None:
        """Stop taking from a queue; what was taken stays ours."""
        if queue not in self._queues:
            return
        self._give_back()
        inbox, home = self._inbox_pair(queue)
        self._waiters.remove(home)
        self._connection.call("HDEL", self._keys.inboxes(self.id), inbox)
        del self._queues[queue]
        self._arrange()

    def _arrange(self) -> None:
        """Prepare every order of looking: priorities rule, queues take turns within one."""
        names = list(self._queues)
        self._orders = []
        self._turn = 0
        for shift in range(len(names)):
            turn = names[shift:] + names[:shift]
            sources = [
                _Source(inbox, name, home)
                for name in turn
                for inbox, home in (self._inbox_pair(name),)
            ]
            for step, name in itertools.product(self._keys.steps, turn):
                key = self._keys.queue(name, step)
                sources.append(_Source(key, name, key))
            self._orders.append(
                _Order(
                    tuple(sources),
                    tuple(source.key for source in sources),
                    tuple(queue_json(source.queue) for source in sources),
                )
            )

    # Leaving.

    def release(self, tags: Sequence[str] | None = None) -> None:
        """Put back deliveries not settled (every one when None), first in line and uncounted."""
        if tags is not None:
            self._requeue([(tag, home, b"") for tag in tags if (home := self._held.get(tag))])
            self.forget(tags)
            return
        self._give_back()
        self._hungry = False
        self._requeue([(tag, home, b"") for tag, home in self._held.items()])
        self._held.clear()

    def close(self) -> None:
        """Leave the broker; what was not released is taken over by others after the lease."""
        try:
            if self._connection.connected:
                self._give_back()
                self._lease.leave()
        except BrokerError as error:
            _log.debug("consumer %s left without goodbye: %s", self.id, error)
        self._waiters.close()
        self._connection.close()


def _number(tag: str) -> int:
    """Return a tag's number, by which deliveries are in order."""
    digits = tag.rpartition("/")[2]
    return int(digits) if digits.isdigit() else 0


def _word(reason: str) -> str:
    """Make a reason safe to stand in a line of JSON."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in reason)[:64] or "unknown"
