"""Commands that come off the wire may be anything; the worker must not notice."""

from typing import Any

import pytest

from tq.worker import control_commands, inspect_commands  # noqa: F401 - they declare themselves
from tq.worker.control_commands import signal_number
from tq.worker.registry import COMMANDS, CommandTable, inspect_command


class Custom:
    word = "yes"


@pytest.fixture
def table() -> CommandTable:
    commands = dict(COMMANDS)
    before = set(COMMANDS)

    @inspect_command(alias="shout", args=[("n", int)], signature="[n]")
    def say(state: Custom, n: int = 1) -> dict[str, Any]:
        """Say the word."""
        return {"ok": state.word * n}

    commands.update({name: COMMANDS.pop(name) for name in set(COMMANDS) - before})
    return CommandTable(Custom(), commands)


def test_a_users_command_is_called_with_the_state_and_its_arguments(table: CommandTable) -> None:
    assert table.call("say", {"n": 2}) == {"ok": "yesyes"}
    assert table.call("shout", None) == {"ok": "yes"}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (None, {}),
        (5, {}),
        (["ping"], {}),
        ("ping", []),
        ("ping", "x"),
        ("ping", {5: 1}),
        ("no_such_command", {}),
        ("say", {"bogus": 1}),
        ("say", {"n": "x"}),
        ("active", {}),
        ("__class__", {}),
    ],
)
def test_nonsense_gets_an_error_reply_and_raises_nothing(
    table: CommandTable, method: Any, arguments: Any
) -> None:
    reply = table.call(method, arguments)
    assert set(reply) == {"error"}


def test_all_commands_of_the_protocol_are_declared() -> None:
    wanted = (
        "ping active reserved scheduled revoked registered stats conf active_queues query_task "
        "report clock memsample hello heartbeat enable_events disable_events revoke terminate "
        "revoke_by_stamped_headers rate_limit time_limit shutdown pool_grow pool_shrink "
        "pool_restart autoscale add_consumer cancel_consumer election dump_active dump_conf"
    )
    assert set(wanted.split()) <= set(COMMANDS)
    assert all(spec.help for spec in COMMANDS.values())


@pytest.mark.parametrize(("given", "number"), [("SIGKILL", 9), ("term", 15), (2, 2), (None, 15)])
def test_signals_are_read_by_name_and_number(given: Any, number: int) -> None:
    assert signal_number(given) == number


def test_an_unknown_signal_has_celerys_text() -> None:
    with pytest.raises(AttributeError, match="module 'signal' has no attribute 'SIGFOO'"):
        signal_number("SIGFOO")
