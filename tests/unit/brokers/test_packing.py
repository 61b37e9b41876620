"""Our packing of commands is Redis' protocol, whichever way is chosen."""

import hiredis
import pytest

from tq.brokers.redis.connection import _pack


@pytest.mark.parametrize(
    "command",
    [
        ("PING",),
        ("SET", "k\u00e9y", b"\x00\r\n", "EX", 3600, 0.5),
        ("LPUSH", "queue\x06\x163", *[b"{%s}" % (b"x" * size) for size in range(300, 320)]),
        ("LPUSH", "k\u00e9y", 7, 1.5, "text", *[b"y" * 5000] * 10),
    ],
)
def test_a_packed_command_is_what_hiredis_writes(command):
    assert _pack(command) == hiredis.pack_command(command)
