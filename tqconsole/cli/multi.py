"""`tq multi`."""

import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq.errors import ConfigError
from tqconsole.cli import exits
from tqconsole.cli.options import Globals
from tqconsole.cli.output import note

if TYPE_CHECKING:
    from tq.multi import Node, Outcome, Parsed

__all__ = ["command"]

_EXAMPLES = """\
NODES are names, or a number N for celery1 to celeryN. Options of `tq worker` follow; one that is
aimed, such as -Q:1-3 or -c:images,video, is for these nodes only.

\b
  tq multi start 3 -A proj -l INFO
  tq multi start 10 -A proj -l INFO -Q:1-3 images,video -Q:4,5 data -Q default -L:4,5 debug
  tq multi restart images video -A proj --pidfile=/tmp/%n.pid --logfile=/tmp/%n%I.log
  tq multi stop 3 --pidfile=/tmp/%n.pid        (-9, -QUIT: another signal than TERM)
  tq multi stopwait 3
  tq multi show 3 -A proj -c 2                 (prints the commands, runs none)
  tq multi names 3;  tq multi get celery2 3;  tq multi expand %n-%h 2

\b
For multi itself: --range-prefix, --prefix, --suffix, --hostname, --executable, --cmd, --append,
--verbose, --quiet, --nosplash, --no-color. Codes: %n name, %h %p node, %d host, %i %I pool process.
"""
_VERBS = ("start", "stop", "stopwait", "stop_verify", "restart", "kill", "show", "names", "expand",
          "get", "help")  # fmt: skip
_SIGNAL = re.compile(r"-(?:(\d{1,2})|(?:SIG)?(HUP|INT|QUIT|KILL|TERM|USR1|USR2))")
_FLAGS = frozenset({"--nosplash", "--quiet", "-q", "--verbose", "--no-color", "-C", "--help", "-h"})
_UNSET = object()


@click.command(
    "multi",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    epilog=_EXAMPLES,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Start, stop and watch many workers: tq multi VERB NODES [WORKER OPTIONS].

    Verbs: start, stop, stopwait, restart, kill, show, names, expand, get, help.
    """
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        click.echo(ctx.get_help())
        return exits.OK if arguments else exits.USAGE
    verb, *rest = arguments
    if verb not in _VERBS:
        raise click.UsageError(f"No such verb '{verb}'. Known: {', '.join(_VERBS)}", ctx)
    if any(word in ("-h", "--help") for word in rest):
        click.echo(ctx.get_help())
        return exits.OK
    return _Run(ctx.find_object(Globals) or Globals(), verb, rest).run()


class _Run:
    """One call of `tq multi`."""

    def __init__(self, given: Globals, verb: str, rest: Sequence[str]) -> None:
        from tq.multi import parse  # deferred: `tq --help` needs none of it

        self._given = given
        self._verb = verb
        self._number, rest = _signal(rest) if verb in _SIGNALLED else (15, list(rest))
        self._words: list[str] = []
        wanted = 1 if verb in ("get", "expand") else 0
        if wanted:
            if not rest or rest[0].startswith("-"):
                raise click.UsageError(f"multi {verb}: what is missing: a {_WANTED[verb]}")
            self._words, rest = [rest[0]], rest[1:]
        self._parsed: Parsed = parse(rest, _worker_flags())
        options = self._parsed.options
        quiet = options.pop("--quiet", _UNSET), options.pop("-q", _UNSET)
        self._quiet = given.quiet or any(value is not _UNSET for value in quiet)
        self._verbose = options.pop("--verbose", _UNSET) is not _UNSET
        options.pop("--nosplash", None)

    def run(self) -> int:
        """Do what the verb says."""
        nodes = self._nodes()
        match self._verb:
            case "names":
                return _print(node.name for node in nodes)
            case "show":
                return _print(node.shell for node in nodes)
            case "expand":
                from tq.multi.names import expand  # deferred, as above

                return _print(expand(self._words[0], node.name) for node in nodes)
            case "get":
                return self._get(nodes)
        return self._act(nodes)

    def _nodes(self) -> "list[Node]":
        from tq import nodename
        from tq.multi import Style, make_nodes, plan

        options = self._parsed.options
        host = options.pop("--hostname", None) or options.pop("-n", None) or nodename.host_name()
        options.pop("-n", None)
        style = Style(
            host=host,
            prefix=options.pop("--prefix", None) or "",
            range_prefix=options.pop("--range-prefix", None) or "celery",
            suffix=options.pop("--suffix", None),
        )
        plans = plan(self._parsed, style)
        pidfile, logfile = self._paths()
        return make_nodes(plans, pidfile, logfile, before=self._before())

    def _paths(self) -> tuple[str, str]:
        """Return the default paths; those of the user's own folder are said, and made."""
        from tq.brokers.embedded import state_folder
        from tq.multi import default_paths
        from tq.process import private_folder

        pidfile, logfile, own = default_paths(state_folder())
        given = self._parsed.options
        used = [
            default
            for default, names in ((pidfile, ("--pidfile",)), (logfile, ("--logfile", "-f")))
            if not any(name in given for name in names)
        ]
        if self._verb in _ACTS and used:
            if own:
                private_folder(state_folder())
                folder = Path(used[0]).parent.parent
                note(f"pid and log files lie in {folder}: /var is not writable", self._quiet)
            for path in used:
                Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return pidfile, logfile

    def _before(self) -> dict[str, str | None]:
        given = self._given
        options = {
            # Where we are by now: what is shown can be pasted from anywhere.
            "--workdir": str(Path.cwd()) if given.workdir else None,
            "-A": given.app,
            "-b": given.broker,
            "--result-backend": given.result_backend,
            "--config": given.config,
        }
        return {name: value for name, value in options.items() if value}

    def _get(self, nodes: "list[Node]") -> int:
        wanted = self._words[0]
        for node in nodes:
            if wanted in (node.name, node.name.partition("@")[0]):
                return _print([node.shell])
        raise ConfigError(f"multi: there is no node {wanted!r} among {len(nodes)}")

    def _act(self, nodes: "list[Node]") -> int:
        from tq.multi import Fleet

        fleet = Fleet(nodes, self._say, self._verbose)
        verbs: dict[str, tuple[str, Callable[[], list[Outcome]]]] = {
            "start": ("Starting nodes...", fleet.start),
            "stop": ("Stopping nodes...", lambda: fleet.send(self._number)),
            "stopwait": ("Stopping nodes...", lambda: fleet.stop_and_wait(self._number)),
            "stop_verify": ("Stopping nodes...", lambda: fleet.stop_and_wait(self._number)),
            "restart": ("Restarting nodes...", lambda: fleet.restart(self._number)),
            "kill": ("Killing nodes...", fleet.kill),
        }
        title, act = verbs[self._verb]
        self._say(f"> {title}")
        failed = [outcome for outcome in act() if not outcome.ok]
        if self._quiet:
            for outcome in failed:
                note(f"tq: {outcome.node.name}: {outcome.text}")
        return exits.FAILED if failed else exits.OK

    def _say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text)


_SIGNALLED = ("stop", "stopwait", "stop_verify", "restart")
_ACTS = ("start", "restart")
_WANTED = {"get": "node's name", "expand": "template"}


def _print(lines: Any) -> int:
    for line in lines:
        click.echo(line)
    return exits.OK


def _signal(rest: Sequence[str]) -> tuple[int, list[str]]:
    """Take the signal out of the arguments; TERM without one."""
    number, left = int(signal.SIGTERM), []
    for word in rest:
        match = _SIGNAL.fullmatch(word)
        if match is None:
            left.append(word)
        elif match[2]:
            number = int(getattr(signal, f"SIG{match[2]}"))
        else:
            number = int(match[1])
            if number not in {int(known) for known in signal.Signals}:
                raise ConfigError(f"multi: {word} is no signal")
    return number, left


def _worker_flags() -> frozenset[str]:
    """Return the worker's options that take no value, and multi's own."""
    from tqconsole.cli.worker import command as worker  # its options are the nodes' options

    flags = {
        name
        for parameter in worker.params
        if isinstance(parameter, click.Option) and parameter.is_flag
        for name in parameter.opts
    }
    return frozenset(flags | _FLAGS)
