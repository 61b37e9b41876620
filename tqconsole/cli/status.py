"""`tq status`."""

import click

from tq.wire.command import Reply
from tqconsole.cli.answers import exit_code
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, worker_output_options
from tqconsole.cli.remote import ask, remote_options
from tqconsole.cli.replies import Row, print_answers, print_as_celery, print_timings

__all__ = ["command"]


def _rows(reply: Reply) -> list[Row]:
    return [{"worker": reply.node, "status": "up", "ms": f"{reply.elapsed * 1000:.0f}"}]


@click.command("status", context_settings={"help_option_names": ["-h", "--help"]})
@remote_options
@worker_output_options
@app_options
def command(
    given: Globals,
    destination: tuple[str, ...],
    timeout: float,
    expect: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Show which workers answer.

    Ends as soon as every worker that has a mailbox on the broker has answered.
    """
    answers = ask(load_app(given), "ping", {}, destination, timeout)
    if given.verbose:
        print_timings(answers)
    printer = Printer(output, as_json, color=given.wants_color)
    if printer.form == "celery":
        return print_as_celery(answers, quiet=given.quiet, body=False)
    code = exit_code(answers, expect)
    print_answers(answers, printer, ("worker", "status", "ms"), _rows, quiet=given.quiet)
    for name in answers.missing:
        if not answers.named:
            note(f"{name}: {answers.silence(name)}", given.quiet)
    count = len(answers.replies)
    if printer.form in ("table", "plain"):
        note(f"\n{count} node{'' if count == 1 else 's'} online.", given.quiet)
    return code
