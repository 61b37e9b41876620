"""A TCP proxy on the loopback that forwards, falls silent, or cuts on a condition."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable

from tests.support.services import free_port

_CHUNK = 65536


class Proxy:
    """Stands between clients and one server; runs in a thread.

    Attributes:
        silent: Nothing is forwarded, and no connection is closed: a half-open network.
        cut_reply: Asked with what a client sent last and what the server answers; true closes that
            connection and the answer is never delivered.
    """

    def __init__(self, server_port: int) -> None:
        self._target = ("127.0.0.1", server_port)
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._asked: dict[socket.socket, bytes] = {}
        self._stopping = False
        self.silent = False
        self.cut_reply: Callable[[bytes, bytes], bool] = lambda _asked, _answer: False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _run(self) -> None:
        while not self._stopping:
            sockets = [] if self.silent else [self._listener, *self._pairs]
            for ready in select.select(sockets, [], [], 0.05)[0]:
                if ready is self._listener:
                    self._accept()
                elif ready in self._pairs:
                    self._forward(ready)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        self._pairs[client], self._pairs[server] = server, client
        self._clients.add(client)

    def _forward(self, source: socket.socket) -> None:
        target = self._pairs[source]
        try:
            data = source.recv(_CHUNK)
            if source in self._clients:
                self._asked[source] = data
            elif data and self.cut_reply(self._asked.get(target, b""), data):
                data = b""
            if data:
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one)
        self._pairs.pop(other, None)
        for end in (one, other):
            self._clients.discard(end)
            self._asked.pop(end, None)
            end.close()

    def close(self) -> None:
        self._stopping = True
        self._thread.join(5)
        self._listener.close()
        for end in list(self._pairs):
            with contextlib.suppress(OSError):
                end.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
