"""Names of signals on the command line."""

import signal

import click

__all__ = ["signal_name"]


def signal_name(what: str, text: str) -> str:
    """Return a signal's full name: `KILL`, `SIGKILL` and `9` mean the same.

    Args:
        what: The option or command that takes it, for errors.
        text: As typed.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        if text.isdigit():
            return signal.Signals(int(text)).name
        name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
        return signal.Signals[name].name
    except (KeyError, ValueError):
        raise click.UsageError(f"{what}: there is no signal {text!r}") from None
