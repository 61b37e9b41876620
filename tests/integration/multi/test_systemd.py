"""What systemd hears from a unit of `Type=notify`."""

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import BIN, Process
from tests.support.services import RedisServer, redis_server
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, for a socket."""
    with tempfile.TemporaryDirectory(prefix="tqn-") as name:
        yield Path(name)


def listener(address: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.settimeout(60)
    made.bind("\0" + address[1:] if address.startswith("@") else address)
    return made


@pytest.mark.timeout(180)
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_says_when_it_is_ready_and_again_after_a_restart(server, folder, pool):
    address = str(folder / "notify")
    argv = [str(BIN / "tq"), "-A", "tests.support.tq_app", "worker", "-P", pool, "-c", "1"]
    argv += ["-n", f"{pool}@unit"]
    with listener(address) as systemd, Process(argv, server.url, NOTIFY_SOCKET=address) as worker:
        assert systemd.recv(100) == b"READY=1"
        assert " ready." in worker.output()
        worker.signal(signal.SIGHUP)
        assert systemd.recv(100) == b"READY=1"
        eventually(lambda: worker.output().count(" ready.") == 2, within=60)
        assert worker.stop() == 0


@pytest.mark.timeout(180)
def test_beat_says_it_in_the_kernels_name_space_too(server, folder):
    address = f"@tq-test-{os.getpid()}"
    argv = [str(BIN / "tq"), "-A", "tests.support.beat_app", "beat", "--pidfile="]
    with listener(address) as systemd:
        options = ["-s", str(folder / "state")]
        with Process([*argv, *options], server.url, NOTIFY_SOCKET=address) as beat:
            assert systemd.recv(100) == b"READY=1"
            assert beat.stop() == 0


@pytest.mark.timeout(180)
def test_a_socket_that_is_gone_is_said_and_stops_nothing(server, folder):
    argv = [str(BIN / "tq"), "-A", "tests.support.beat_app", "beat", "--pidfile="]
    options = ["-s", str(folder / "state")]
    address = str(folder / "nobody")
    with Process([*argv, *options], server.url, NOTIFY_SOCKET=address) as beat:
        beat.wait_for("systemd cannot be told that the program is ready")
        beat.wait_for("this beat leads")
        assert beat.stop() == 0
