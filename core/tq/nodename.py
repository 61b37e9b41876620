"""Node names (`name@host`), their defaults, and the codes that expand in names and paths.

Source: PROTOCOL 12, CLI 5; celery/utils/nodenames.py and celery/platforms.py.
"""

import os
import re
import socket
from functools import lru_cache

__all__ = ["anon_name", "default_name", "expand_path", "host_name", "make", "parse"]

_CODE = re.compile(r"%(%|[hndpiI])")


@lru_cache(maxsize=1)
def host_name() -> str:
    """Return this machine's host name."""
    return socket.gethostname()


def make(name: str | None, default: str = "celery", host: str | None = None) -> str:
    """Turn what a user gave for `-n` into a full node name.

    Args:
        name: `name@host`, or a bare word (taken as the host part), or None; `%h %n %d` expand.
        default: The part before `@` when `name` has none.
        host: The host's full name; this machine's by default.
    """
    host = host or host_name()
    short, _, domain = host.partition(".")
    codes = {"h": host, "n": short, "d": domain, "%": "%"}
    given = _CODE.sub(lambda m: codes.get(m[1], m[0]), name or "")
    if not given:
        return f"{default}@{host}"
    before, at, after = given.partition("@")
    if not at:
        return f"{default}@{given}"
    return f"{before or default}@{after or host}"


def default_name() -> str:
    """Return the node name of a worker that was given none."""
    return make(None)


def parse(name: str) -> tuple[str, str]:
    """Split a node name into the part before `@` and the host; without `@` the first is empty."""
    before, at, after = name.partition("@")
    return (before, after) if at else ("", name)


def anon_name() -> str:
    """Return the name under which a process that is no worker sends events: `gen<pid>@<host>`."""
    return f"gen{os.getpid()}@{host_name()}"


def expand_path(template: str, name: str, index: int = 0) -> str:
    """Expand the codes of a log or pid file's path.

    Args:
        template: A path with `%h` (host), `%n` (before `@`), `%d` (domain), `%p` (node name), `%i`
            (pool process, 0 in the main one), `%I` (the same with a dash, empty in the main one).
        name: The node's full name.
        index: The pool process; 0 for the main one.
    """
    before, host = parse(name)
    codes = {
        "h": host,
        "n": before,
        "d": host.partition(".")[2],
        "p": name,
        "i": str(index),
        "I": f"-{index}" if index else "",
        "%": "%",
    }
    return _CODE.sub(lambda m: codes[m[1]], template)
