"""A private server, workers on it, and a client's application, for the canvas tests."""

import itertools

import redis

import tq
from tests.support.canvas_tasks import register
from tests.support.processes import Process
from tests.support.services import RedisServer
from tests.support.waiting import eventually
from tq.contrib.abortable import AbortableTask

TIMEOUT = 20

# At once, since messages move between these keys while one looks.
_QUIET = """
local call = redis.call
if call('HLEN', 'unacked') + call('ZCARD', 'tq:delayed') > 0 then return 0 end
for _, key in ipairs(call('KEYS', 'celery*')) do
  local kind = call('TYPE', key)['ok']
  if kind == 'list' and string.sub(key, -2) ~= '.j' then return 0 end
  if kind == 'string' and string.sub(key, -2) == '.c' and call('GET', key) ~= 'done' then
    return 0
  end
end
for _, key in ipairs(call('KEYS', 'tq:c:*:inbox:*')) do
  if call('LLEN', key) > 0 then return 0 end
end
for _, key in ipairs(call('KEYS', 'tq:c:*:started')) do
  if call('HLEN', key) > 0 then return 0 end
end
return 1
"""


class Fleet:
    """What a test sends with, and asks what happened."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.url = server.url
        self.env = {"PEER_BACKEND": server.url, "PEER_MARKS": str(server.socket)}
        self.redis = redis.Redis(unix_socket_path=str(server.socket), decode_responses=True)
        self.app = tq.TQ("client", broker=self.url, backend=self.url)
        self.t = register(
            self.app, chain=tq.chain, group=tq.group, errors=tq.errors, abortable=AbortableTask
        )
        self._keys = itertools.count()
        self.workers: list[Process] = []

    def key(self) -> str:
        """A name nobody else uses."""
        return f"key{next(self._keys)}"

    def echoed(self, key: str) -> list[str]:
        """What `echo` was called with, in order."""
        return self.redis.lrange(f"echo:{key}", 0, -1)

    def counted(self, key: str) -> int:
        return int(self.redis.hget("counts", key) or 0)

    def wait_at(self, key: str, count: int = 1) -> None:
        """Wait until `count` calls stand at a gate."""
        eventually(lambda: self.counted(f"at {key}") >= count, within=TIMEOUT)

    def open(self, key: str, count: int = 1) -> None:
        self.redis.rpush(f"gate:{key}", *["go"] * count)

    def is_quiet(self) -> bool:
        """Whether nothing waits, runs, is delayed, or is about to be dispatched."""
        return bool(self.redis.eval(_QUIET, 0))

    def settle(self) -> None:
        """Wait until everything that was set off is over, so that what did not happen never will."""
        eventually(self.is_quiet, within=TIMEOUT)

    def close(self) -> None:
        for worker in self.workers:
            worker.__exit__(None, None, None)
        self.app.close()
        self.redis.close()
