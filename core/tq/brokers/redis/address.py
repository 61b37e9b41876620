"""Where a Redis server is and how to talk to it, read from a URL and transport options."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from tq.errors import ConfigError

__all__ = ["Address", "mask_url", "parse_url"]

_PLAIN = {"redis", "valkey"}
_TLS = {"rediss", "valkeys"}
_SOCKET = {"redis+socket", "socket", "unix", "valkey+socket"}
_SENTINEL = {"sentinel"}
SCHEMES = tuple(sorted(_PLAIN | _TLS | _SOCKET | _SENTINEL))

# sun_path holds 108 bytes on Linux and 104 on macOS, its final zero included.
MAX_SOCKET_PATH = 103


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One server (or the master that sentinels name) and the connection's parameters.

    Attributes:
        url: As given, the password masked.
        path: The unix socket's path, or None for TCP.
        sentinels: Where the sentinels answer; then `host` and `port` mean nothing.
        tls: Keyword `ssl_*` options; None for a plain connection.
        timeout: Seconds any command may take, blocking ones on top of their own wait.
        connect_timeout: Seconds to wait for a connection.
    """

    url: str
    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: dict[str, Any] | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_options: dict[str, Any] = {}
    timeout: float = 10.0
    connect_timeout: float = 4.0
    keepalive: bool = True
    client_name: str = "tq"

    def __repr__(self) -> str:
        """Show the masked URL; the fields hold the password."""
        return f"Address({self.url!r})"

    @property
    def location(self) -> str:
        """Name server and database; equal for two addresses that reach the same data."""
        if self.sentinels:
            hosts = ",".join(f"{host}:{port}" for host, port in sorted(self.sentinels))
            return f"sentinel:{self.master}@{hosts}/{self.db}"
        if self.path is not None:
            return f"unix:{os.path.realpath(self.path)}/{self.db}"
        host = "127.0.0.1" if self.host in ("localhost", "::1") else self.host.lower()
        return f"tcp:{host}:{self.port}/{self.db}"


def mask_url(url: str) -> str:
    """Hide every password in a URL, or in a `;` separated list of them."""
    return ";".join(_mask_one(part) for part in url.split(";"))


def _mask_one(url: str) -> str:
    """Hide the password of one URL; the last `@` ends the credentials, as in urlsplit."""
    scheme, mark, rest = url.partition("://")
    slash = min((i for i in (rest.find(c) for c in "/?#") if i >= 0), default=len(rest))
    credentials, at, host = rest[:slash].rpartition("@")
    if not mark or not at or ":" not in credentials:
        return url
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}:**@{host}{rest[slash:]}"


def parse_url(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """Read a Redis URL.

    Args:
        url: `redis://`, `rediss://`, `redis+socket://`, `unix://` or `sentinel://`, with
            `user:password@`, a database as path or `?db=` (`?virtual_host=` for sockets).
        options: kombu's transport options; the URL's query wins over them.

    Raises:
        ConfigError: The URL makes no sense; the message names the part, never the password.

    Source: SETTINGS `broker_url`, PROTOCOL 1.2; kombu/transport/redis.py, `Channel._connparams`.
    """
    given = dict(options or {})
    if ";" in url and not url.startswith("sentinel:"):
        raise ConfigError(f"one Redis URL expected, not a list: {mask_url(url)}")
    first = url.split(";", 1)[0]
    try:
        parts = urlsplit(first)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"unreadable broker URL {mask_url(url)}: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"unknown scheme {parts.scheme!r} in {mask_url(url)}; Redis takes {', '.join(SCHEMES)}"
        )
    given.update(parse_qsl(parts.query, keep_blank_values=True))
    where: dict[str, Any]
    if parts.scheme in _SOCKET:
        where = _socket_place(parts.netloc, parts.path, given, url)
    else:
        where = {"host": parts.hostname or "localhost", "port": port or 6379}
        where["db"] = _database(parts.path.lstrip("/") or given.get("db", 0), url)
    if parts.scheme in _SENTINEL:
        where |= _sentinel_place(url, given)
    return Address(
        url=mask_url(url),
        username=_text(parts.username) or given.get("username") or None,
        password=_text(parts.password) or given.get("password") or None,
        tls=_tls(parts.scheme, given),
        **where,
        **_behaviour(given, url),
    )


def _text(value: str | None) -> str | None:
    """Undo percent encoding."""
    return None if value is None else unquote(value)


def _socket_place(netloc: str, path: str, given: dict[str, Any], url: str) -> dict[str, Any]:
    """Read a unix socket's path and database."""
    host = netloc.rpartition("@")[2]
    full = unquote(f"{host}{path}" if host else path)
    if not full.startswith("/"):
        raise ConfigError(f"a socket URL needs an absolute path: {mask_url(url)}")
    if len(os.fsencode(full)) > MAX_SOCKET_PATH:
        raise ConfigError(
            f"socket path of {len(os.fsencode(full))} bytes is longer than the system's "
            f"{MAX_SOCKET_PATH}: {full}"
        )
    return {
        "path": full,
        "db": _database(given.get("virtual_host") or given.get("db") or 0, url),
    }


def _sentinel_place(url: str, given: dict[str, Any]) -> dict[str, Any]:
    """Read all sentinels of a list, and the master's name from the options."""
    master = given.get("master_name") or given.get("service_name")
    if not master:
        raise ConfigError(f"a sentinel URL needs the transport option master_name: {mask_url(url)}")
    places = []
    for part in url.split(";"):
        one = urlsplit(part if "://" in part else f"sentinel://{part}")
        try:
            places.append((one.hostname or "localhost", one.port or 26379))
        except ValueError as error:
            raise ConfigError(f"unreadable sentinel in {mask_url(url)}: {error}") from None
    return {
        "sentinels": tuple(places),
        "master": str(master),
        "sentinel_options": dict(given.get("sentinel_kwargs") or {}),
    }


def _database(value: Any, url: str) -> int:
    """Read a database number; kombu allows a leading slash."""
    try:
        db = int(str(value).lstrip("/") or 0)
    except ValueError:
        db = -1
    if db < 0:
        raise ConfigError(
            f"the database must be a number from 0 up, not {value!r}: {mask_url(url)}"
        )
    return db


def _tls(scheme: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """Collect the TLS options; `ssl` may be True or a dictionary of them."""
    ssl = given.get("ssl")
    found = {key: value for key, value in given.items() if key.startswith("ssl_")}
    if isinstance(ssl, Mapping):
        found = {**ssl, **found}
    if scheme in _TLS or ssl:
        return found
    return None


def _behaviour(given: dict[str, Any], url: str) -> dict[str, Any]:
    """Read timeouts and names."""
    found: dict[str, Any] = {}
    for option, field in (
        ("socket_timeout", "timeout"),
        ("socket_connect_timeout", "connect_timeout"),
    ):
        if given.get(option) is None:
            continue
        try:
            seconds = float(given[option])
        except (TypeError, ValueError):
            seconds = 0.0
        if not 0 < seconds < 86400:
            raise ConfigError(
                f"{option} must be seconds above 0, not {given[option]!r}: {mask_url(url)}"
            )
        found[field] = seconds
    if given.get("socket_keepalive") is not None:
        found["keepalive"] = str(given["socket_keepalive"]).lower() not in ("0", "false", "no")
    if given.get("client_name"):
        # CLIENT SETNAME refuses spaces and newlines.
        found["client_name"] = quote(str(given["client_name"]), safe="@:/.+-_")
    return found
