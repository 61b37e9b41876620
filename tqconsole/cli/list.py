"""`tq list`."""

import click

from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, worker_output_options
from tqconsole.cli.select import Choice, select_options

__all__ = ["command"]

_COLUMNS = ("queue", "exchange", "routing_key")


@click.command("list", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", type=click.Choice(["bindings"]), default="bindings")
@worker_output_options
@select_options
@app_options
def command(given: Globals, what: str, output: str | None, as_json: bool, choice: Choice) -> int:
    """List the bindings of the application's queues to their exchanges, as the broker has them."""
    app = load_app(given)
    app.broker.ping(app.conf.broker_connection_timeout or 4.0)
    queues = list(app.queues.consume_from.values())
    exchanges = sorted({queue.exchange.name for queue in queues if queue.exchange is not None})
    rows = [
        {"queue": queue, "exchange": exchange, "routing_key": key}
        for exchange in exchanges
        for key, queue in (app.broker.bindings(exchange) if exchange else ())
    ]
    known = {(row["queue"], row["exchange"]) for row in rows}
    for queue in queues:
        exchange = queue.exchange.name if queue.exchange is not None else ""
        if (queue.name, exchange) not in known:
            key = queue.routing_key or queue.name
            rows.append({"queue": queue.name, "exchange": exchange, "routing_key": key})
    printer = Printer(output, as_json, color=given.wants_color)
    if printer.form == "celery":
        _print_as_celery(rows)
        return 0
    return choice.show(printer, _COLUMNS, rows)


def _print_as_celery(rows: list[dict[str, str]]) -> None:
    rule = "-" * 16
    lines = [("Queue", "Exchange", "Routing Key"), (rule, rule, rule)]
    lines += [(row["queue"], row["exchange"], row["routing_key"]) for row in rows]
    for queue, exchange, key in lines:
        click.echo(f"{queue:<28} {exchange:<28} {key}")
