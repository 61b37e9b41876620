"""The table itself: rows from the names of both libraries, the evidence and the reasons."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from tools.compatibility import celery_names as names
from tools.compatibility.evidence import Evidence, tq_worker_options
from tools.compatibility.seen import BY_DESIGN, NOT_YET
from tools.compatibility.verdicts import (
    CALL_OPTIONS,
    DIFFERS,
    NOT_PROVIDED,
    SECTIONS,
    SETTINGS,
    SIGNALS,
    TASK_OPTIONS,
    WORKER_OPTIONS,
)
from tq import signals
from tq.config.aliases import UNREAD_NAMES, UNUSED_NAMES
from tq.config.settings import DEFAULTS, FIELD_NAMES
from tqconsole.cli.options import Globals

__all__ = ["Row", "Verdict", "page", "problems", "sections"]

_WARNED = UNUSED_NAMES | UNREAD_NAMES
_WITHOUT_REASON = "accepted without effect"
_UNSAID = "only in Celery"


class Verdict(StrEnum):
    """What a Celery user may expect of a name."""

    WORKS = "works"
    DIFFERS = "differs"
    NOT_PROVIDED = "not provided"


@dataclass(frozen=True, slots=True)
class Row:
    """One name.

    Attributes:
        detail: What else is known of it: a default, spellings, arguments.
        effective: tq's code reads it, or sends it.
    """

    name: str
    detail: str
    verdict: Verdict
    why: str
    effective: bool


@cache
def sections() -> Mapping[str, tuple[Row, ...]]:
    """Return the rows of each section, by name."""
    seen = Evidence()
    ours = tq_worker_options()
    spelled = {flag for flags in ours.values() for flag in flags} | _before_the_command()
    defaults, options, args = names.settings(), names.worker_options(), names.signal_names()

    def has_worker_option(name: str) -> bool:
        return set(options[name]) <= spelled and seen.reads_worker_option(name)

    table: dict[str, tuple[Iterable[str], Callable[[str], str], Callable[[str], bool]]] = {
        TASK_OPTIONS: (names.task_options(), lambda _: "", seen.reads_task_option),
        CALL_OPTIONS: (names.call_options(), lambda _: "", seen.reads_call_option),
        SETTINGS: (
            sorted(defaults),
            lambda name: _default(name, defaults[name]),
            lambda name: name in FIELD_NAMES and seen.reads_setting(name),
        ),
        WORKER_OPTIONS: (options, lambda name: _code(options[name]), has_worker_option),
        SIGNALS: (args, lambda name: _code(sorted(args[name])), seen.sends_signal),
    }
    return {
        section: tuple(_row(section, name, detail(name), works(name)) for name in known)
        for section, (known, detail, works) in table.items()
    }


def _row(section: str, name: str, detail: str, effective: bool) -> Row:
    differs, missing = _why(DIFFERS[section], name), _why(NOT_PROVIDED[section], name)
    if effective:
        verdict = Verdict.DIFFERS if differs else Verdict.WORKS
        return Row(name, detail, verdict, differs or "", effective)
    if section in (WORKER_OPTIONS, TASK_OPTIONS) and differs:
        return Row(name, detail, Verdict.DIFFERS, differs, effective)
    why = missing or (_WITHOUT_REASON if section in (TASK_OPTIONS, SETTINGS) else _UNSAID)
    return Row(name, detail, Verdict.NOT_PROVIDED, why, effective)


def _why(reasons: Mapping[str, str], name: str) -> str | None:
    if name in reasons:
        return reasons[name]
    families = (key for key in reasons if key.endswith("*") and name.startswith(key[:-1]))
    return next((reasons[key] for key in families), None)


def _before_the_command() -> set[str]:
    """Return the spellings of the options that stand before the command."""
    return {f"--{name.replace('_', '-')}" for name in vars(Globals())} | {"-A", "-b", "-C", "-q"}


def _default(name: str, theirs: Any) -> str:
    """Return the default, of both where they are not the same."""
    if isinstance(theirs, timedelta):
        theirs = theirs.total_seconds()
    if name not in FIELD_NAMES or _same(theirs, getattr(DEFAULTS, name)):
        return f"`{theirs!r}`"
    return f"`{getattr(DEFAULTS, name)!r}`, Celery `{theirs!r}`"


def _same(theirs: Any, ours: Any) -> bool:
    # A list and a tuple of the same are one value to a user, as 4 and 4.0 are.
    pair = [tuple(value) if isinstance(value, list) else value for value in (theirs, ours)]
    return bool(pair[0] == pair[1])


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def problems() -> list[str]:
    """Say what the table must not hold: a name without effect or reason, a reason without need."""
    found: list[str] = []
    for section, rows in sections().items():
        found += [f"{section}: {text}" for row in rows for text in _row_problems(section, row)]
        found += [f"{section}: {text}" for text in _idle_reasons(section, rows)]
    for name, arguments in names.signal_names().items():
        lack = arguments - getattr(signals, name).providing_args
        found += [f"{SIGNALS}: {name} lacks {argument}" for argument in sorted(lack)]
    return found


def _row_problems(section: str, row: Row) -> Iterable[str]:
    if row.why in (_WITHOUT_REASON, _UNSAID):
        yield f"{row.name} has no effect: provide it, or say in verdicts.py why not"
    if section == SETTINGS and not row.effective and row.name not in _WARNED:
        yield f"{row.name} has no effect and nobody is warned: see tq/config/aliases.py"
    if section == SETTINGS and row.effective and row.name in _WARNED:
        yield f"{row.name} has an effect, and yet a warning: see tq/config/aliases.py"
    if "Celery `" in row.detail and row.verdict is Verdict.WORKS:
        yield f"{row.name} has another default: say in verdicts.py why"


def _idle_reasons(section: str, rows: Iterable[Row]) -> Iterable[str]:
    for reasons in (DIFFERS[section], NOT_PROVIDED[section]):
        for name in reasons:
            meant = [row for row in rows if _why({name: ""}, row.name) is not None]
            if not meant:
                yield f"Celery has no {name!r}: drop what verdicts.py says"
            elif reasons is NOT_PROVIDED[section] and all(row.effective for row in meant):
                yield f"{name} has an effect now: drop what verdicts.py says"


def page() -> str:
    """Return core/docs/compatibility.md."""
    parts = [_introduction(), _summary()]
    heads = {SETTINGS: "Default", WORKER_OPTIONS: "Spelling", SIGNALS: "Arguments"}
    for section in SECTIONS:
        parts.append(f"## {section}")
        parts.append(_table(heads.get(section), sections()[section]))
    parts += [_own(), _seen()]
    return "\n\n".join(parts) + "\n"


def _introduction() -> str:
    return (
        "# tq beside Celery\n\n"
        f"Every name that Celery {names.VERSION} has for these purposes, and what it does in tq. "
        "Written by `make docs` from the code of both:\na name *works* only where tq's code reads "
        "it (or sends it), and never because it is merely accepted. A setting that is not\n"
        "provided is accepted with a warning that names it, so that a project's configuration need "
        "not be split."
    )


def _summary() -> str:
    lines = ["| | Works | Differs | Not provided |", "|---|---|---|---|"]
    for section in SECTIONS:
        counts = Counter(row.verdict for row in sections()[section])
        lines.append(f"| {section} | {' | '.join(str(counts[one]) for one in Verdict)} |")
    return "\n".join(lines)


def _table(detail: str | None, rows: Iterable[Row]) -> str:
    columns = ["Name", *([detail] if detail else []), "Verdict"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        verdict = f"{row.verdict}: {row.why}" if row.why else str(row.verdict)
        cells = [f"`{row.name}`", *([row.detail] if detail else []), verdict]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def _own() -> str:
    theirs, options = names.settings(), set(names.worker_options())
    own_settings = _code(name for name in FIELD_NAMES if name not in theirs)
    flags = _code(
        flags[-1]
        for name, flags in tq_worker_options().items()
        if name not in options and flags[-1] not in str(names.worker_options())
    )
    return (
        "## Only in tq\n\n"
        f"Settings: {own_settings}.\n\nWorker options: {flags}.\n\n"
        "Task options: every option above; `async def` tasks run in every pool."
    )


def _seen() -> str:
    """Return what the tests that run one project on both libraries find different."""
    parts = [
        "## Side by side",
        "Two projects run on Celery and on tq, with nothing but the import lines and the class "
        "name changed (`tests/interop/example`).\nResults, stored records, events, signals, "
        "handlers and log lines are the same, but for this:",
        _list(BY_DESIGN),
    ]
    if any(NOT_YET.values()):
        parts += ["Not meant, and to be repaired:", _list(NOT_YET)]
    return "\n\n".join(parts)


def _list(seen: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    views = [view for example in seen.values() for view in example.values()]
    reasons = dict.fromkeys(reason for view in views for reason in view.values())
    return "\n".join(f"- {reason}" for reason in reasons)
