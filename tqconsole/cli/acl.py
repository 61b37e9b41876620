"""`tq acl`."""

import click

from tqconsole.cli.options import Globals, app_options, load_app, split_names
from tqconsole.cli.output import note
from tqconsole.cli.redis_only import redis_broker

__all__ = ["command"]


@click.command("acl", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--console", "role", flag_value="console", help="For the console and tq's commands.")
@click.option("--worker", "role", flag_value="worker", help="For workers and beat.")
@click.option("--producer", "role", flag_value="producer", help="For what only sends tasks.")
@click.option("--read-only", is_flag=True, help="With --console: for one that only looks.")
@click.option("--user", metavar="NAME", help="Name of the user; tq-ROLE by default.")
@click.option("-Q", "--queues", multiple=True, metavar="A,B", help="These queues too.")
@app_options
def command(
    given: Globals,
    role: str | None,
    read_only: bool,
    user: str | None,
    queues: tuple[str, ...],
) -> None:
    """Print the least that a Redis user must be allowed, as one line for redis-cli.

    Needs Redis 7 or Valkey; asks no server and changes nothing. Replace PASSWORD in the line:
    tq acl --console --read-only | sed 's/PASSWORD/.../' | redis-cli
    """
    if role is None:
        raise click.UsageError("for whom? Give --console, --worker or --producer")
    if user is not None and (not user or not user.isprintable() or " " in user):
        raise click.UsageError(f"--user: {user!r} is no name for a user")
    looks = role == "console" and (read_only or given.read_only)
    app = load_app(given)
    broker = redis_broker(app)
    from tq.backends.encoding import Encoding  # deferred: after the broker's driver
    from tq.brokers.redis.acl import Role, acl_rules

    options = app.conf.result_backend_transport_options or {}
    rules = acl_rules(
        broker.keys,
        Role.VIEWER if looks else Role(role),
        queues=list(dict.fromkeys([*app.queues.consume_from, *split_names(queues)])),
        control=app.conf.control_exchange,
        events=app.conf.event_exchange,
        event_queues=app.conf.event_queue_prefix,
        results=Encoding(dict(options)).prefix,
    )
    name = user or f"tq-{'viewer' if looks else role}"
    reset, on, *others = rules
    click.echo(" ".join(["ACL SETUSER", name, reset, on, ">PASSWORD", *others]))
    if looks:
        note(
            "whoever may ask workers may also tell them: Redis cannot tell a ping from a shutdown; "
            "tq --read-only refuses by itself",
            given.quiet,
        )
