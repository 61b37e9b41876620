"""Redis servers of our own."""

import gc

import pytest
import redis

from tests.support.services import RedisServer


class Server(RedisServer):
    """With a client that looks at what lies there."""

    def start(self) -> "Server":
        super().start()
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        return self


def _run(server: Server):
    server.start()
    yield server
    gc.collect()  # Celery's results unsubscribe when they are collected: while there is a server
    server.client.close()
    server.close()


@pytest.fixture(scope="session")
def shared_server():
    yield from _run(Server())


@pytest.fixture
def server(shared_server):
    """The server, emptied."""
    shared_server.client.flushall()
    return shared_server


@pytest.fixture
def own_server():
    """A server for tests that stop it."""
    yield from _run(Server())
