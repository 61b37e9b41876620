"""What frames every screen: header, tabs and the rows of keys at the bottom."""

from collections.abc import Sequence
from dataclasses import dataclass

from tq.monitor import ClusterState, WorkerStatus
from tqconsole.tui.actions import SCREENS, Action
from tqconsole.tui.model.facts import LinkState
from tqconsole.tui.model.format import Cell, Glyphs, clip, clock, count, rate, width_of
from tqconsole.tui.model.lines import Line, Piece, joined, two_sided

__all__ = ["Frame", "header_line", "key_line", "live_cells", "tab_line"]

WIDE = 120
_LOW_COVERAGE = 0.99
_RATE_WINDOW = 5
# How tabs are written, the longest first; the first that fits is taken.
_TAB_FORMS = (
    " {number} {title}{badge} ",
    " {number} {title}{badge}",
    " {number}{title}{badge}",
    " {number}{short}{badge}",
    " {number}",
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the header tells.

    Attributes:
        crumbs: Where the user is below the tabs, such as a task's id.
        paused: Whether the view stands still, and for how many events.
        missed: Events that arrived since the pause.
    """

    context: str
    url: str
    now: float
    link: LinkState
    paused: bool = False
    missed: int = 0
    read_only: bool = False
    crumbs: tuple[str, ...] = ()


def live_cells(frame: Frame, symbols: Glyphs) -> list[Piece]:
    """Return whether the view is live, paused, or cut off."""
    if not frame.link.connected:
        waited = max(0, int(frame.now - frame.link.since)) if frame.link.since else 0
        if frame.link.attempt:
            which = f" (attempt {frame.link.attempt})" if frame.link.attempt > 1 else ""
            text = f" RECONNECTING {waited}s{which} "
        else:
            text = " CONNECTING "
        return [(Cell(text, "alert" if frame.link.attempt else "warning-bold"), None)]
    if frame.paused:
        return [(Cell(f" {symbols.paused} +{count(frame.missed)} ", "warning-bold"), "pause")]
    return [(Cell(f" {symbols.live} LIVE ", "success"), "pause")]


def _figures(state: ClusterState, frame: Frame, width: int, symbols: Glyphs) -> list[Piece]:
    """Return how many workers send events, how many arrive, and what share of all that is."""
    now = frame.now
    statuses = [(state.worker_status(worker, now), worker) for worker in state.workers.values()]
    present = [(status, worker) for status, worker in statuses if status is not WorkerStatus.GONE]
    sending = sum(
        status not in (WorkerStatus.LOST, WorkerStatus.NO_EVENTS) for status, _ in present
    )
    events = state.rates["events"].rate(now, _RATE_WINDOW) if "events" in state.rates else None
    coverage = state.coverage()
    short = coverage is not None and coverage < _LOW_COVERAGE
    share = "?" if coverage is None else f"{coverage * 100:.1f}".replace("100.0", "100") + "%"
    silent = sending < len(present)
    if width >= WIDE:
        lag = frame.link.lag
        return [
            (
                Cell(f"events {sending}/{len(present)} workers", "warning" if silent else "muted"),
                "screen.workers",
            ),
            (Cell(f"   {symbols.rate} {rate(events)}/s", ""), None),
            (Cell(f"   lag {lag:.1f} s" if lag is not None else "", "muted"), None),
            (Cell(f"   coverage {share}", "warning" if short else "muted"), "screen.workers"),
            (Cell("  "), None),
        ]
    return [
        (Cell(f"ev {sending}/{len(present)}", "warning" if silent else "muted"), "screen.workers"),
        (Cell(f" {symbols.rate} {rate(events)}/s", ""), None),
        (Cell(f" cov {share}", "warning" if short else "muted"), "screen.workers"),
    ]


def header_line(state: ClusterState, frame: Frame, width: int, symbols: Glyphs) -> Line:
    """Return the first row: which cluster, how much of it is seen, and whether it is live."""
    right = live_cells(frame, symbols)
    figures = _figures(state, frame, width, symbols)
    if frame.link.connected and width >= 60:
        right = [*figures, *right]
    room = width - sum(width_of(cell.text) for cell, _ in right) - 1
    left: list[Piece] = [
        (Cell(" tq ", "brand"), None),
        (Cell(f" {clip(frame.context, 16)} ", "bold"), None),
    ]
    if frame.crumbs:
        text = "".join(f" {symbols.arrow} {crumb}" for crumb in frame.crumbs)
        left.append(
            (
                Cell(
                    clip(text, max(0, room - 4 - len(frame.context) - 2), symbols.ellipsis), "muted"
                ),
                None,
            )
        )
    else:
        used = sum(width_of(cell.text) for cell, _ in left)
        left.append(
            (Cell(" " + clip(frame.url, max(0, room - used - 1), symbols.ellipsis), "muted"), None)
        )
        if width >= WIDE:
            figures_text = (
                f"   {len(state.workers)} workers {symbols.dot} {len(state.names)} task names"
            )
            left.append((Cell(figures_text, "muted"), None))
    return two_sided(left, right, width)


def tab_line(
    here: str, now: float, width: int, guard: tuple[str, str], badges: dict[str, str]
) -> Line:
    """Return the second row: the screens by number, what guards the cluster, and the time."""
    right: list[Piece] = []
    text, style = guard
    if text:
        right.append((Cell(f"{text}  ", style), None))
    right.append((Cell(f"{clock(now)}Z ", "muted"), None))
    room = width - joined(right).width - 1
    pieces: list[Piece] = []
    for form in _TAB_FORMS:
        pieces = _tabs(here, badges, form)
        if joined(pieces).width <= room:
            break
    return two_sided(pieces, right, width)


def _tabs(here: str, badges: dict[str, str], form: str) -> list[Piece]:
    """Return the screens' names, written as `form` says."""
    pieces: list[Piece] = []
    for number, name, short, title in SCREENS:
        # the narrowest form names at least the screen that is shown
        chosen = _TAB_FORMS[-2] if name == here and form == _TAB_FORMS[-1] else form
        text = chosen.format(number=number, short=short, title=title, badge=badges.get(name, ""))
        if name == here and not text.endswith(" "):
            text += " "
        pieces.append((Cell(text, "tab-here" if name == here else "tab"), f"screen.{name}"))
    return pieces


def key_line(actions: Sequence[Action], width: int, note: Cell | None = None) -> Line:
    """Return a row of keys; those that do not fit are left out, the help has them all."""
    pieces: list[Piece] = [(Cell(" "), None)]
    note_width = width_of(note.text) + 1 if note else 0
    used = 1
    for action in actions:
        size = len(action.key_text) + len(action.text) + 3
        if used + size > width - note_width:
            continue
        pieces.append((Cell(action.key_text, "key"), action.name))
        pieces.append(
            (Cell(f" {action.text}  ", "warning" if action.tier > 1 else "muted"), action.name)
        )
        used += size
    if note is None:
        return joined(pieces)
    return two_sided(pieces, [(note, None), (Cell(" "), None)], width)
