"""Results as messages to the caller's own queue.

Source: PROTOCOL 9.2; celery/backends/rpc.py.
"""

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn
from uuid import uuid4

from tq.backends.base import GroupRecord
from tq.backends.encoding import Encoding
from tq.backends.watchers import OnError, OnResult, Watchers, wait_with
from tq.brokers.base import Broker, ChordPart, Message, Queue, StoredResult
from tq.errors import BackendError, BrokerError, DecodeError, ResultNotStored
from tq.states import SUCCESS
from tq.wire.result import ResultMeta, decode_result
from tq.wire.serialization import CONTENT_TYPES

__all__ = ["RpcBackend"]

log = logging.getLogger(__name__)

# Records that arrived and that nobody has asked for yet; the oldest go first.
KEPT = 10_000
PAUSE = 1.0


class RpcBackend:
    """Sends each record to the process that made the call, and keeps those that came here.

    Each process has one queue and one daemon thread that reads it. Only that process can read its
    results, once the message has come: no chords, no saved groups.
    """

    url = "rpc://"
    location: str | None = None
    supports_native_join = True
    supports_chords = False

    def __init__(self, broker: Broker, options: Mapping[str, Any] | None = None) -> None:
        """Use `broker`.

        Options as for Redis; `persistent`: messages outlive the broker; `oid`: this process's
        queue, a new id by default and in every forked child.
        """
        given = dict(options or {})
        self._broker = broker
        self._encoding = Encoding(given)
        self._delivery_mode = 2 if given.get("persistent") else 1
        self._reset(given.get("oid"))

    def _reset(self, oid: str | None = None) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._oid = oid or str(uuid4())
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._records: OrderedDict[str, ResultMeta] = OrderedDict()
        self._watchers = Watchers()

    # -- the caller's side ---------------------------------------------------------------------

    def reply_to(self) -> str | None:
        """Return this process's queue, declared and read from now on.

        Raises:
            BackendError: It cannot be declared.
        """
        if self._pid != os.getpid():
            self._reset()  # a forked child has a queue of its own
        with self._lock:
            if self._thread is None:
                self._start()
        return self._oid

    def _start(self) -> None:
        """Declare the queue and start reading, under the lock."""
        expires = float(self._encoding.ttl) or None
        queue = Queue(name=self._oid, durable=True, auto_delete=True, expires=expires, no_ack=True)
        try:
            subscription = self._broker.subscribe(queue)
        except BrokerError as error:
            raise BackendError(f"no queue for results: {error}") from error
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(queue, subscription, self._stop),
            name="tq-results",
            daemon=True,
        )
        self._thread.start()

    def _run(self, queue: Queue, subscription: Any, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                if subscription is None:
                    subscription = self._broker.subscribe(queue)
                messages = subscription.receive(100, PAUSE)
            except BrokerError as error:
                log.warning("reading results: %s; connecting again", error)
                subscription = None
                stop.wait(PAUSE)
                continue
            for message in messages:
                self._arrived(message)
        if subscription is not None:
            subscription.close()

    def _arrived(self, message: Message) -> None:
        try:
            record = decode_result(
                message.body,
                serializer=message.content_type,
                accept=self._encoding.accept,
                task_id=message.correlation_id,
            )
        except DecodeError as error:
            log.error("dropped an unreadable result of %s: %s", message.correlation_id, error)
            if message.correlation_id:
                self._watchers.fail(error, message.correlation_id)
            return
        with self._lock:
            known = self._records.get(record.task_id)
            if known is not None and known.status == SUCCESS:
                return
            self._records[record.task_id] = record
            self._records.move_to_end(record.task_id)
            while len(self._records) > KEPT:
                self._records.popitem(last=False)
        self._watchers.deliver(record)

    def fetch(self, ids: Sequence[str]) -> dict[str, ResultMeta]:
        """Return the records that came to this process."""
        with self._lock:
            return {task_id: self._records[task_id] for task_id in ids if task_id in self._records}

    def wait(
        self,
        ids: Iterable[str],
        on_result: OnResult,
        *,
        timeout: float | None,
        until: Callable[[], bool],
        on_interval: Callable[[], None] | None = None,
    ) -> None:
        """Deliver records until `until()`; see `Backend.wait`."""
        wait_with(self.watch, ids, on_result, timeout=timeout, until=until, on_interval=on_interval)

    def watch(
        self, ids: Iterable[str], on_result: OnResult, on_error: OnError | None = None
    ) -> Callable[[], None]:
        """Call back for every record of `ids`; see `Backend.watch`."""
        self.reply_to()
        wanted = list(ids)
        watchers = self._watchers
        watcher = watchers.add(wanted, on_result, on_error)
        for record in self.fetch(wanted).values():
            if record.task_id in watcher.ids:
                watchers.deliver(record)

        def cancel() -> None:
            watchers.remove(watcher)

        return cancel

    def forget(self, ids: Sequence[str]) -> None:
        """Drop records."""
        with self._lock:
            for task_id in ids:
                self._records.pop(task_id, None)

    # -- the worker's side ---------------------------------------------------------------------

    def store(
        self, results: Sequence[ResultMeta], *, reply_to: Mapping[str, str] | None = None
    ) -> None:
        """Send each record to the queue its message named; without one nobody waits for it."""
        queues = reply_to or {}
        content_type, encoding = CONTENT_TYPES[self._encoding.serializer]
        messages = [
            Message(
                body=self._encoding.encode(result),
                content_type=content_type,
                content_encoding=encoding,
                routing_key=queues[result.task_id],
                correlation_id=result.task_id,
                delivery_mode=self._delivery_mode,
            )
            for result in results
            if queues.get(result.task_id)
        ]
        if not messages:
            return
        try:
            self._broker.publish(messages)
        except BrokerError as error:
            raise ResultNotStored(f"results not sent: {error}") from error

    def effect(self, result: ResultMeta) -> StoredResult:
        """Refuse: a message is no effect of a settle step."""
        self._refuse("settle a result with the ack")

    # -- what it cannot do ---------------------------------------------------------------------

    def _refuse(self, what: str) -> NoReturn:
        raise BackendError(f"the rpc:// backend cannot {what}: use redis:// as result_backend")

    def save_group(self, group_id: str, record: GroupRecord) -> None:
        """Refuse: other processes could not read it."""
        self._refuse("save groups")

    def restore_group(self, group_id: str) -> GroupRecord | None:
        """Refuse, as `save_group`."""
        self._refuse("restore groups")

    def delete_group(self, group_id: str) -> None:
        """Refuse, as `save_group`."""
        self._refuse("delete groups")

    def set_chord_size(self, group_id: str, size: int) -> None:
        """Refuse: workers could not count the parts together."""
        self._refuse("count chords")

    def set_chord_sizes(self, sizes: Mapping[str, int]) -> None:
        """Do `set_chord_size` for several groups, in one round trip where the server allows."""
        for group_id, size in sizes.items():
            self.set_chord_size(group_id, size)

    def add_to_chord(self, group_id: str, count: int) -> None:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def chord_part(
        self, group_id: str, result: ResultMeta, group_index: int | None = None
    ) -> ChordPart:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def count_chord_part(self, part: ChordPart) -> str | None:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def claim_chord(self, group_id: str, token: str, seconds: float) -> bool:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def chord_parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def finish_chord(
        self,
        group_id: str,
        token: str,
        messages: Sequence[Message] = (),
        broker: Broker | None = None,
    ) -> bool:
        """Refuse, as `set_chord_size`."""
        self._refuse("count chords")

    def close(self) -> None:
        """Stop reading and remove the queue; a later call makes a new one."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * PAUSE)
