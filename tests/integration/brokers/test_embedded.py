"""The user's own server: found or started, shared, persistent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tq.brokers import Message, connect, embedded
from tq.errors import BrokerError, ConfigError
from tq.process import FileLock, is_alive

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Short, unlike pytest's own: a socket's path is limited.
    made = Path(tempfile.mkdtemp(prefix="tqe-"))
    monkeypatch.setenv("TQ_STATE_DIR", str(made))
    yield made
    embedded.stop()
    shutil.rmtree(made)


def pid() -> int:
    found = embedded.status().pid
    assert found is not None
    return found


def test_it_is_started_once_and_found_again(folder: Path) -> None:
    assert not embedded.status().running
    url = embedded.ensure()
    first = pid()
    assert embedded.ensure() == url == embedded.url()
    assert pid() == first
    status = embedded.status()
    assert status.running
    assert status.version
    assert status.folder == str(folder / "broker")


def test_only_its_user_can_reach_it(folder: Path) -> None:
    embedded.ensure()
    assert (folder / "broker").stat().st_mode & 0o777 == 0o700
    assert (folder / "broker" / "valkey.sock").stat().st_mode & 0o077 == 0
    broker = connect("embedded://")
    assert broker.pool.call("CONFIG", "GET", "port") == [b"port", b"0"]
    assert broker.pool.call("CONFIG", "GET", "appendonly") == [b"appendonly", b"yes"]
    broker.close()


def test_a_killed_server_is_started_by_the_next_command_with_nothing_lost(folder: Path) -> None:
    broker = connect(None)
    broker.publish([Message(body=b"%d" % n, routing_key="q") for n in range(500)])
    broker.close()
    os.kill(pid(), signal.SIGKILL)
    eventually(lambda: not embedded.status().running)
    assert (folder / "broker" / "valkey.sock").exists()  # stale
    again = connect(None)
    assert again.depths(["q"]) == {"q": 500}
    again.close()


def test_data_survives_an_orderly_stop(folder: Path) -> None:
    broker = connect()
    broker.publish([Message(body=b"1", routing_key="q")])
    broker.close()
    old = pid()
    assert embedded.stop()
    assert not embedded.stop()
    eventually(lambda: not is_alive(old))
    assert not embedded.status().running
    broker = connect()
    assert broker.depths(["q"]) == {"q": 1}
    broker.close()


def test_processes_that_start_at_once_share_one(folder: Path) -> None:
    code = "from tq.brokers import embedded; embedded.ensure(); print(embedded.status().pid)"
    root = Path(__file__).parents[3] / "core"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(5)
    ]
    pids = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 5
    assert pids == {str(pid()).encode()}


def test_it_outlives_the_process_that_started_it_and_its_terminal(folder: Path) -> None:
    root = Path(__file__).parents[3] / "core"
    subprocess.run(
        [sys.executable, "-c", "from tq.brokers import embedded; embedded.ensure()"],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        timeout=30,
    )
    assert os.getsid(pid()) != os.getsid(0)
    assert embedded.status().running


def test_a_stale_pid_file_and_a_foreign_file_in_the_sockets_place_do_not_matter(
    folder: Path,
) -> None:
    place = folder / "broker"
    place.mkdir()
    (place / "valkey.pid").write_text("1\n")
    (place / "valkey.sock").write_text("no socket")
    embedded.ensure()
    assert embedded.status().running
    assert pid() != 1


def test_a_path_that_is_too_long_is_a_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TQ_STATE_DIR", f"/tmp/{'x' * 100}")
        with pytest.raises(ConfigError, match="set TQ_STATE_DIR to a shorter folder"):
            connect(None)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    place = folder / "broker"
    (place / "appendonlydir").mkdir(parents=True)
    (place / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish here\n")
    with pytest.raises(BrokerError, match="does not start"):
        embedded.ensure()
    (place / "appendonlydir" / "appendonly.aof.manifest").unlink()
    embedded.ensure()


def test_a_lock_is_held_until_its_last_heir_is_gone(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_acquire()
    heir = subprocess.Popen(["sleep", "30"], pass_fds=[lock.fileno()])
    lock.close()
    assert not other.acquire(0.05)
    heir.kill()
    heir.wait()
    assert other.acquire(5.0)
    other.close()
