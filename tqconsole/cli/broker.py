"""`tq broker`."""

import click

from tqconsole.cli import exits
from tqconsole.cli.options import Globals, app_options
from tqconsole.cli.output import Printer, note, output_options

__all__ = ["command"]


@click.command("broker", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("action", type=click.Choice(["start", "stop", "status", "url"]))
@output_options
@app_options
def command(given: Globals, action: str, output: str | None, as_json: bool) -> int:
    """Start, stop and inspect the embedded broker.

    It is a private Valkey server that all tq processes of this user share when no broker is
    configured. Whoever needs it starts it; its data survives `stop`.
    """
    from tq.brokers import embedded  # deferred: only this command needs it

    if action == "url":
        click.echo(embedded.url())
    elif action == "start":
        click.echo(embedded.ensure())
    elif action == "stop":
        note("stopped" if embedded.stop() else "was not running", given.quiet)
    else:
        return _status(Printer(output, as_json))
    return exits.OK


def _status(printer: Printer) -> int:
    from tq.brokers import embedded  # deferred, as above

    found = embedded.status()
    facts = {
        "running": found.running,
        "url": found.url,
        "folder": found.folder,
        "pid": found.pid,
        "version": found.version,
        "uptime": found.uptime,
        "memory": found.memory,
        "disk": found.disk,
        "clients": found.clients,
    }
    if printer.form == "json":
        printer.value(facts)
    elif printer.form == "jsonl":
        printer.line(facts)
    else:
        shown = facts if found.running else {"running": False, "folder": found.folder}
        printer.rows(("key", "value"), [{"key": k, "value": v} for k, v in shown.items()])
    return exits.OK if found.running else exits.NOTHING
