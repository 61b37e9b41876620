"""The Lua scripts: read from their files, loaded into the server, run by their digest."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tq.brokers.redis.connection import Argument, Connection
from tq.errors import BrokerError

__all__ = ["Script", "call_script", "load", "run_pipeline", "script_command"]

_FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^-- @include (\S+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class Script(msgspec.Struct, frozen=True):
    """A script's text and the digest by which the server knows it."""

    name: str
    source: bytes
    digest: str


@cache
def load(name: str) -> Script:
    """Read `lua/<name>.lua` with what it includes."""
    text = _INCLUDE.sub(_included, (_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
    source = _COMMENT.sub("", text).encode()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


def _included(match: re.Match[str]) -> str:
    """Return the text of an included file."""
    return (_FOLDER / match[1]).read_text(encoding="utf-8")


def script_command(
    script: Script, keys: Sequence[str], arguments: Sequence[Argument]
) -> tuple[Argument, ...]:
    """Write the EVALSHA command of a script."""
    return ("EVALSHA", script.digest, len(keys), *keys, *arguments)


def call_script(
    connection: Connection,
    script: Script,
    keys: Sequence[str],
    arguments: Sequence[Argument],
    timeout: float | None = None,
) -> Any:
    """Run a script, loading it when the server does not know it (any more)."""
    command = script_command(script, keys, arguments)
    try:
        return connection.call(*command, timeout=timeout)
    except BrokerError as error:
        if getattr(error, "code", "") != "NOSCRIPT":
            raise
    connection.call("SCRIPT", "LOAD", script.source)
    return connection.call(*command, timeout=timeout)


def run_pipeline(
    connection: Connection,
    commands: Sequence[Sequence[Argument]],
    scripts: Sequence[Script],
) -> list[Any]:
    """Run commands, some of them script calls, in one round trip.

    A script that the server does not know was not run, so running it again alone repeats nothing.

    Args:
        connection: Where.
        commands: The commands.
        scripts: Those that may be called by the commands.

    Raises:
        BrokerError: The first error among the replies, after all were read.
    """
    replies = connection.pipeline(commands, check=False)
    failed = [
        index
        for index, reply in enumerate(replies)
        if isinstance(reply, BrokerError) and getattr(reply, "code", "") == "NOSCRIPT"
    ]
    if failed:
        again: list[tuple[Argument, ...]] = [
            ("SCRIPT", "LOAD", script.source) for script in scripts
        ]
        again += [tuple(commands[index]) for index in failed]
        answers = connection.pipeline(again, check=False)[len(scripts) :]
        for index, answer in zip(failed, answers, strict=True):
            replies[index] = answer
    for reply in replies:
        if isinstance(reply, BrokerError):
            raise reply
    return replies
