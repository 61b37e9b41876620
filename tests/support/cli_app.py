"""The tq peer with remote commands of its own, for the command line's tests."""

from tests.support.tq_app import app
from tq.worker import control_command, inspect_command

__all__ = ["app"]

app.conf.result_extended = True


@control_command(args=[("text", str), ("times", int)], signature="text=T [times=N]")
def shout(state, text, times=1):
    """Say something loudly."""
    return {"ok": " ".join([text.upper()] * times)}


@inspect_command()
def whoami(state):
    """Tell the worker's name."""
    return {"ok": state.hostname}
