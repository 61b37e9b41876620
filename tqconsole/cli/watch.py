"""`tq watch`."""

import math
import time

import click

from tqconsole.cli import exits
from tqconsole.cli.conditions import Condition, ConditionError, Scene, read_condition
from tqconsole.cli.durations import Duration
from tqconsole.cli.listening import Seen, listen
from tqconsole.cli.options import Globals, app_options, load_app
from tqconsole.cli.output import Printer, note, output_options

__all__ = ["command"]

_JUDGE_EVERY = 0.25  # seconds; a filter over 100 000 tasks takes 50 ms


class _Watch:
    """Judges what is seen, and remembers what ended it."""

    def __init__(
        self, fail_if: list[Condition], until: list[Condition], verbose: bool = False
    ) -> None:
        self.verbose = verbose
        self.fail_if, self.until = fail_if, until
        self.failed: Condition | None = None
        self.reached = False
        self.scene: Scene | None = None
        self._began = time.time()
        self._due = 0.0

    def enough(self, seen: Seen) -> bool:
        """Judge now and then; true when that ends the watch."""
        if self.scene is None and self.verbose:
            note("watching")
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + _JUDGE_EVERY
        self.judge(seen)
        return self.failed is not None or self.reached

    def judge(self, seen: Seen) -> None:
        """Judge what is seen; a failure counts more than an end."""
        depths = {queue.name: queue.depth.value for queue in seen.queues.values() if queue.depth}
        up = seen.state.live_workers(seen.now)
        scene = self.scene = Scene(seen.tasks.values(), seen.context, self._began, depths, up)
        self.failed = next((each for each in self.fail_if if each.holds(scene)), None)
        self.reached = bool(self.until) and all(each.holds(scene) for each in self.until)

    def rows(self) -> list[dict[str, str]]:
        """Return each condition with its value."""
        scene = self.scene
        if scene is None:
            return []
        return [
            {
                "what": what,
                "condition": each.source,
                "holds": "yes" if each.holds(scene) else "no",
                "value": each.shown(each.value(scene)),
            }
            for what, conditions in (("fail-if", self.fail_if), ("until", self.until))
            for each in conditions
        ]


@click.command("watch", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--for", "seconds", type=Duration(0.1), help="Watch so long: 30s, 10m. For ever else."
)
@click.option("--fail-if", multiple=True, metavar="COND", help="End with 1 as soon as this is so.")
@click.option("--until", multiple=True, metavar="COND", help="End with 0 when all these are so.")
@output_options
@app_options
def command(
    given: Globals,
    seconds: float | None,
    fail_if: tuple[str, ...],
    until: tuple[str, ...],
    output: str | None,
    as_json: bool,
) -> int:
    r"""Watch a cluster until something is so: a gate for deployments and runbooks.

    \b
    COND is MEASURE(FILTER) OPERATOR VALUE:
      count(FILTER)    tasks seen              count(root:ID state:success) = 10
      rate(FILTER)     a share of those that   rate(state:failure name:mail.*) > 1%
                       finished, or per time   rate(state:retry) > 5/m
      oldest(FILTER)   longest wait            oldest(queue:mail) > 5m
      depth(QUEUE)     ready messages          depth(mail) = 0
      workers(GLOB)    workers that are there  workers(web*) >= 3

    Tasks are those that events tell of from now on, and those that workers hold. Exit code: 0 when
    every --until is so, or no --fail-if was during --for; 1 when a --fail-if is so; 124 when --for
    is over before every --until is so; 69 when events were missed and so nobody can tell.
    """
    watch = _Watch(
        [_read("--fail-if", text) for text in fail_if],
        [_read("--until", text) for text in until],
        given.verbose,
    )
    if not (fail_if or until):
        raise click.UsageError("what for? Give --until, --fail-if or both")
    queues = [each.queue for each in (*watch.fail_if, *watch.until) if each.queue is not None]
    began = time.monotonic()
    seen = listen(
        load_app(given), math.inf if seconds is None else seconds,
        tasks=True, queues=queues, enough=watch.enough,
    )  # fmt: skip
    if not (watch.failed or watch.reached or seen.interrupted):
        watch.judge(seen)  # what came between the last judgement and the end
    passed = time.monotonic() - began
    Printer(output, as_json, color=given.wants_color).rows(
        ("what", "condition", "holds", "value"), watch.rows()
    )
    if watch.failed is not None:
        note(f"failed after {passed:.1f} s: {watch.failed.source}", given.quiet)
        return exits.FAILED
    if seen.interrupted:
        return exits.INTERRUPTED
    if not (watch.reached or seen.connected):
        note("tq: events were missed: nobody knows whether it was so")
        return exits.UNAVAILABLE
    if watch.until and not watch.reached:
        note(f"not reached in {passed:.1f} s", given.quiet)
        return exits.TIMED_OUT
    note(f"{'reached' if watch.until else 'held'} after {passed:.1f} s", given.quiet)
    return exits.OK


def _read(option: str, text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: It means nothing.
    """
    try:
        return read_condition(text)
    except ConditionError as error:
        raise click.UsageError(f"{option}: {error} ({text!r})") from None
