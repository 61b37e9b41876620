"""Results on Redis or Valkey, key for key as Celery writes them.

Source: PROTOCOL 9.1 and 10; celery/backends/redis.py, `RedisBackend`.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tq.backends.base import GroupRecord
from tq.backends.encoding import Encoding, group_key, task_key
from tq.backends.listener import Listener
from tq.backends.watchers import OnError, OnResult, wait_with
from tq.brokers.base import Broker, ChordPart, Message, StoredResult
from tq.brokers.redis.address import parse_url
from tq.brokers.redis.connection import Argument, Pool
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.publication import publication_arguments
from tq.brokers.redis.scripts import call_script, load
from tq.errors import BackendError, BrokerError, DecodeError, ResultNotStored
from tq.states import SUCCESS
from tq.wire.result import ResultMeta

__all__ = ["RedisBackend"]

CHUNK = 500  # records in one command or script call: a few ms of the server's time
DONE_SECONDS = 300  # how long a finished chord is remembered; Celery: max(2 * claim, 300)


@contextmanager
def translate_errors(what: str, kind: type[BackendError] = BackendError) -> Iterator[None]:
    """Raise the connection's errors as the backend's."""
    try:
        yield
    except BrokerError as error:
        raise kind(f"{what}: {error}") from error


class RedisBackend:
    """Records as strings with an expiry, published to whoever waits; chords counted by script.

    Safe to share between threads: calls lend a connection from a pool, waiting has its own.
    """

    supports_native_join = True
    supports_chords = True

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Read URL and options (see `tq.backends.connect`); nothing is opened yet.

        Raises:
            ConfigError: One of them makes no sense.
        """
        given = dict(options or {})
        self._encoding = Encoding(given)
        address = parse_url(url, given)
        self.url: str = address.url
        self.location: str | None = address.location
        self._pool = Pool(address)
        self._listener = Listener(address, self._task_key, self._encoding.decode)

    def __repr__(self) -> str:
        """Show the address."""
        return f"<RedisBackend {self.url}>"

    def _task_key(self, task_id: str) -> str:
        return task_key(self._encoding.prefix, task_id)

    def _group_key(self, group_id: str, part: str = "") -> str:
        return group_key(self._encoding.prefix, group_id, part)

    def _script(self, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        with self._pool.lease() as connection:
            return call_script(connection, load(name), keys, arguments)

    # -- records -------------------------------------------------------------------------------

    def reply_to(self) -> str | None:
        """Return None: results do not travel as messages."""
        return None

    def effect(self, result: ResultMeta) -> StoredResult:
        """Encode a record for the settle step."""
        return StoredResult(
            key=self._task_key(result.task_id),
            value=self._encoding.encode(result),
            ttl=self._encoding.ttl_of(result),
        )

    def store(
        self, results: Sequence[ResultMeta], *, reply_to: Mapping[str, str] | None = None
    ) -> None:
        """Write records in one round trip; see `Backend.store`."""
        effects = [self.effect(result) for result in results]
        with translate_errors("results not stored", ResultNotStored):
            for start in range(0, len(effects), CHUNK):
                self._store(effects[start : start + CHUNK])

    def _store(self, effects: Sequence[StoredResult], force: bool = False) -> None:
        arguments: list[Argument] = ["1" if force else "0"]
        for effect in effects:
            arguments += (effect.value, effect.ttl)
        unknown = self._script("store_results", [effect.key for effect in effects], arguments)
        if not unknown:
            return
        # Compressed, or another serializer: only Python can tell the state that is stored.
        unsure = [effects[position - 1] for position in unknown]
        found = self._pool.call("MGET", *[effect.key for effect in unsure])
        open_ = [
            effect
            for effect, raw in zip(unsure, found, strict=True)
            if raw is None or not self._is_success(raw)
        ]
        if open_:
            self._store(open_, force=True)

    def _is_success(self, raw: bytes) -> bool:
        try:
            return self._encoding.decode(raw, None).status == SUCCESS
        except DecodeError:
            return False  # nobody can read it, so the new record is the better one

    def fetch(self, ids: Sequence[str]) -> dict[str, ResultMeta]:
        """Read records in one round trip; see `Backend.fetch`.

        Raises:
            DecodeError: A record cannot be read.
        """
        commands = [
            ("MGET", *map(self._task_key, ids[start : start + CHUNK]))
            for start in range(0, len(ids), CHUNK)
        ]
        with translate_errors("results not read"):
            replies = self._pool.pipeline(commands)
        raws = [raw for reply in replies for raw in reply]
        return {
            task_id: self._encoding.decode(raw, task_id)
            for task_id, raw in zip(ids, raws, strict=True)
            if raw is not None
        }

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
        return self._listener.watch(list(ids), on_result, on_error)

    def forget(self, ids: Sequence[str]) -> None:
        """Delete records."""
        commands = [
            ("DEL", *map(self._task_key, ids[start : start + CHUNK]))
            for start in range(0, len(ids), CHUNK)
        ]
        with translate_errors("results not deleted"):
            self._pool.pipeline(commands)

    # -- groups --------------------------------------------------------------------------------

    def save_group(self, group_id: str, record: GroupRecord) -> None:
        """Keep a group's structure."""
        key, value, ttl = self._group_key(group_id), self._encoding.dump(record), self._encoding.ttl
        with translate_errors(f"group {group_id} not saved", ResultNotStored):
            self._pool.call("SET", key, value, *(("EX", ttl) if ttl else ()))

    def restore_group(self, group_id: str) -> GroupRecord | None:
        """Read a group's structure."""
        with translate_errors(f"group {group_id} not read"):
            raw = self._pool.call("GET", self._group_key(group_id))
        return None if raw is None else self._encoding.load_group(raw)

    def delete_group(self, group_id: str) -> None:
        """Delete a group's structure."""
        with translate_errors(f"group {group_id} not deleted"):
            self._pool.call("DEL", self._group_key(group_id))

    # -- chords --------------------------------------------------------------------------------

    def set_chord_size(self, group_id: str, size: int) -> None:
        """Say how many parts a header has; clears the claim of an earlier run."""
        self.set_chord_sizes({group_id: size})

    def set_chord_sizes(self, sizes: Mapping[str, int]) -> None:
        """Say how many parts each of several headers has, in one round trip."""
        ttl = self._encoding.chord_ttl
        expiry = ("EX", ttl) if ttl else ()
        commands: list[tuple[Any, ...]] = []
        for group_id, size in sizes.items():
            commands.append(("SET", self._group_key(group_id, ".s"), size, *expiry))
            commands.append(("DEL", self._group_key(group_id, ".c")))
        with translate_errors(f"sizes of chords {', '.join(sizes)} not stored", ResultNotStored):
            self._pool.pipeline(commands)

    def add_to_chord(self, group_id: str, count: int) -> None:
        """Say that a header got `count` more parts while it runs."""
        with translate_errors(f"chord {group_id} not extended", ResultNotStored):
            self._pool.call("INCRBY", self._group_key(group_id, ".t"), count)

    def chord_part(
        self, group_id: str, result: ResultMeta, group_index: int | None = None
    ) -> ChordPart:
        """Encode one finished part; see `Backend.chord_part`."""
        return self._encoding.chord_part(group_id, result, group_index)

    def count_chord_part(self, part: ChordPart) -> str | None:
        """Count a part outside the settle step; returns the claim when it was the last."""
        arguments: list[Argument] = [
            part.member,
            part.mark,
            "+inf" if part.score is None else part.score,
            "1" if part.ordered else "0",
            part.chord_ttl,
            part.result_ttl,
            part.claim_ttl,
            secrets.token_hex(16),
        ]
        with translate_errors("chord part not counted", ResultNotStored):
            token = self._script("chord_count", [part.group_key], arguments)
        return None if token is None else str(token, "utf-8")

    def claim_chord(self, group_id: str, token: str, seconds: float) -> bool:
        """Extend a claim, or take an expired one; see `Backend.claim_chord`."""
        keys = [self._group_key(group_id, ".c"), self._group_key(group_id, ".s")]
        with translate_errors(f"claim of chord {group_id} not extended"):
            return bool(self._script("chord_claim", keys, [token, max(1, int(seconds))]))

    def chord_parts(self, group_id: str) -> list[tuple[str, str, Any]]:
        """Read the counted parts in order."""
        key = self._group_key(group_id, ".j")
        command = "ZRANGE" if self._encoding.ordered else "LRANGE"
        with translate_errors(f"parts of chord {group_id} not read"):
            raws = self._pool.call(command, key, 0, -1)
        return [self._encoding.read_part(raw) for raw in raws]

    def chord_progress(self, group_ids: Sequence[str]) -> dict[str, tuple[int | None, int]]:
        """Read how far chords are: the parts of their headers, and how many of them came back.

        The number of parts is None where nobody counts: no chord, or one that is over.
        """
        count = "ZCARD" if self._encoding.ordered else "LLEN"
        commands: list[tuple[Any, ...]] = []
        for group_id in group_ids:
            commands.append(("GET", self._group_key(group_id, ".s")))
            commands.append(("GET", self._group_key(group_id, ".t")))
            commands.append((count, self._group_key(group_id, ".j")))
        with translate_errors("progress of chords not read"):
            replies = self._pool.pipeline(commands)
        found: dict[str, tuple[int | None, int]] = {}
        for at, group_id in enumerate(group_ids):
            size, extra, returned = replies[3 * at : 3 * at + 3]
            total = None if size is None else int(size) + int(extra or 0)
            found[group_id] = total, int(returned)
        return found

    def finish_chord(
        self,
        group_id: str,
        token: str,
        messages: Sequence[Message] = (),
        broker: Broker | None = None,
    ) -> bool:
        """Publish the body and mark the chord done; see `Backend.finish_chord`."""
        names = self._names_of(broker)
        if names is None and messages and broker is not None:
            broker.publish(messages)
            messages = ()
        # Without messages their queues' names do not matter.
        names = names or Keys()
        keys = [self._group_key(group_id, part) for part in (".c", ".j", ".t", ".s", ".d")]
        arguments: list[Argument] = [token, DONE_SECONDS, names.prefix, names.sep, len(messages)]
        arguments += publication_arguments(messages, names)
        try:
            return bool(self._script("chord_finish", [*keys, names.binding_deadlines()], arguments))
        except BrokerError as error:
            if getattr(error, "code", "") == "NOTSENT":
                raise
            raise BackendError(f"chord {group_id} not finished: {error}") from error

    def _names_of(self, broker: Broker | None) -> Keys | None:
        """Return the names of a broker's keys when they lie in this very database."""
        if broker is None or self.location is None or broker.location != self.location:
            return None
        keys = getattr(broker, "keys", None)
        return keys if isinstance(keys, Keys) else None

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        self._listener.close()
        self._pool.close()
