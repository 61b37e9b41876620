"""`tq doctor`."""

import click

from tq.errors import ConfigError
from tqconsole.cli import exits
from tqconsole.cli.checks import Finding, check_server, check_workers, observe
from tqconsole.cli.confirm import plural
from tqconsole.cli.durations import Duration
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options
from tqconsole.cli.redis_only import redis_broker

__all__ = ["command"]

_COLUMNS = ("level", "about", "finding", "advice")


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--for",
    "seconds",
    type=Duration(0.5, 3600),
    default=3.0,
    show_default=True,
    help="Seconds to listen to the workers' heartbeats.",
)
@click.option("--strict", is_flag=True, help="Warnings make the exit code 1, as errors do.")
@output_options
@app_options
def command(given: Globals, seconds: float, strict: bool, output: str | None, as_json: bool) -> int:
    """Find what endangers tasks: the broker's set-up, silent workers, clocks, dead letters.

    Changes nothing. Exit code 1 when something is wrong.
    """
    app = load_app(given)
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    findings: list[Finding] = []
    try:
        broker = redis_broker(app)
        findings += check_server(broker.examine(), broker.dead_letters().count())
    except ConfigError:
        url = app.broker.url
        findings.append(Finding("ok", "broker", f"{url} answers; its set-up is not examined"))
    findings += check_workers(observe(app, seconds), app.conf.broker_lease)
    rows = [finding.row() for finding in findings]
    Printer(output, as_json, color=given.wants_color).rows(_COLUMNS, rows)
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    note(f"{plural(errors, 'error')}, {plural(warnings, 'warning')}", given.quiet)
    return exits.FAILED if errors or (strict and warnings) else exits.OK
