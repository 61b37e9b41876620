"""Values as people read them: durations, ages, counts, glyphs; always text, never markup."""

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

__all__ = [
    "UNKNOWN",
    "Cell",
    "Glyphs",
    "age",
    "clip",
    "clock",
    "clock_ms",
    "count",
    "delta",
    "duration",
    "fit",
    "glyphs",
    "heartbeat_age",
    "rate",
    "short_count",
    "size",
    "state_style",
    "width_of",
]

UNKNOWN = "?"


class Cell(NamedTuple):
    """A piece of text with the name of its style (`themes.STYLE_NAMES`)."""

    text: str
    style: str = ""


class Glyphs(NamedTuple):
    """The symbols of one character set; each takes one cell."""

    waiting: str
    received: str
    started: str
    success: str
    failure: str
    retry: str
    revoked: str
    alert: str
    unknown: str
    up: str
    busy: str
    gone: str
    live: str
    paused: str
    rate: str
    cursor: str
    rule: str
    pipe: str
    ellipsis: str
    arrow: str
    fold: str
    wait: str
    dot: str
    bar: str
    track: str
    ascending: str
    descending: str
    thumb: str

    def state(self, name: str) -> str:
        """Return the glyph of a task state."""
        return {
            "SENT": self.waiting,
            "QUEUED": self.waiting,
            "RECEIVED": self.received,
            "STARTED": self.started,
            "SUCCESS": self.success,
            "FAILURE": self.failure,
            "RETRY": self.retry,
            "REVOKED": self.revoked,
            "REJECTED": self.revoked,
            "ORPHAN": self.alert,
            "STALE": self.alert,
        }.get(name, self.unknown)


_UNICODE = Glyphs(
    waiting="·", received="○", started="▶", success="✔", failure="✘", retry="↻", revoked="⊘",
    alert="!", unknown="◇", up="✔", busy="●", gone="○", live="●", paused="❚❚", rate="▲",
    cursor="▌", rule="─", pipe="│", ellipsis="…", arrow="▸", fold="▸", wait="⧗", dot="·",
    bar="█", track="░", ascending="▲", descending="▼", thumb="▐",
)  # fmt: skip
_ASCII = Glyphs(
    waiting=".", received="o", started=">", success="+", failure="x", retry="~", revoked="-",
    alert="!", unknown="?", up="+", busy="*", gone="o", live="*", paused="||", rate="^",
    cursor=">", rule="-", pipe="|", ellipsis="~", arrow=">", fold=">", wait="..", dot=".",
    bar="#", track=".", ascending="^", descending="v", thumb="#",
)  # fmt: skip

_STATE_STYLES = {
    "SENT": "muted",
    "QUEUED": "muted",
    "RECEIVED": "accent",
    "STARTED": "started",
    "SUCCESS": "success",
    "FAILURE": "failure",
    "RETRY": "retry",
    "REVOKED": "revoked",
    "REJECTED": "revoked",
    "ORPHAN": "alert",
    "STALE": "warning",
}


def glyphs(ascii_only: bool = False) -> Glyphs:
    """Return the symbols of the Unicode or the ASCII set."""
    return _ASCII if ascii_only else _UNICODE


def state_style(state: str) -> str:
    """Return the style name of a task state."""
    return _STATE_STYLES.get(state, "accent")


def width_of(text: str) -> int:
    """Return how many cells a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, width: int, ellipsis: str = "…") -> str:
    """Cut a text to at most `width` cells, marking the cut."""
    if width <= 0:
        return ""
    if width_of(text) <= width:
        return text
    if width == 1:
        return ellipsis
    if text.isascii():
        return text[: width - 1] + ellipsis
    return set_cell_size(text, width - 1).rstrip() + ellipsis


def fit(text: str, width: int, right: bool = False, ellipsis: str = "…") -> str:
    """Cut or pad a text to exactly `width` cells."""
    text = clip(text, width, ellipsis)
    gap = width - width_of(text)
    if gap <= 0:
        return text
    return " " * gap + text if right else text + " " * gap


def duration(seconds: float | None) -> str:
    """Show a length of time in at most six cells: `4ms`, `0.31s`, `12.1s`, `6m12s`, `3h05m`."""
    if seconds is None:
        return UNKNOWN
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    return age(seconds)


def age(seconds: float | None) -> str:
    """Show an age in whole units, at most six cells: `2s`, `6m12s`, `3h05m`, `2d04h`, `412d`."""
    if seconds is None or seconds != seconds:
        return UNKNOWN
    total = int(max(0.0, min(seconds, 1e11)))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02}s"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02}m"
    if total < 864000:
        return f"{total // 86400}d{total % 86400 // 3600:02}h"
    return f"{total // 86400}d"


def heartbeat_age(seconds: float | None) -> str:
    """Show the age of a heartbeat: tenths of a second while it is young."""
    if seconds is not None and 0 <= seconds < 9.95:
        return f"{seconds:.1f}s"
    return age(seconds)


def delta(seconds: float | None) -> str:
    """Show a difference of times with its sign: `+4ms`, `-0.20s`."""
    if seconds is None:
        return ""
    if -0.001 < seconds < 0:
        seconds = 0.0  # finer than is shown, and than two processes' times can be compared
    return f"-{duration(-seconds)}" if seconds < 0 else f"+{duration(seconds)}"


def clock(timestamp: float | None, utc_offset: float = 0.0) -> str:
    """Show a wall timestamp as `HH:MM:SS`, shifted by `utc_offset` seconds."""
    if timestamp is None or timestamp != timestamp:
        return UNKNOWN
    whole = int((timestamp + utc_offset) % 86400)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}"


def clock_ms(timestamp: float | None, utc_offset: float = 0.0) -> str:
    """Show a wall timestamp as `HH:MM:SS.mmm`."""
    if timestamp is None or timestamp != timestamp:
        return UNKNOWN
    thousandths = round((timestamp + utc_offset) % 86400 * 1000) % 86400000
    whole, rest = divmod(thousandths, 1000)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}.{rest:03}"


def count(number: float | None) -> str:
    """Show a whole number in groups of three: `12 840`; unknown is `?`."""
    if number is None:
        return UNKNOWN
    return f"{int(number):,}".replace(",", " ")


def short_count(number: float | None) -> str:
    """Show a number in at most five cells: `812`, `9 840`, `12.8k`, `1.2M`."""
    if number is None:
        return UNKNOWN
    number = int(number)
    if abs(number) < 10_000:
        return count(number)
    for limit, unit in ((1e6, "k"), (1e9, "M"), (1e12, "G")):
        if abs(number) < limit:
            scaled = number / (limit / 1000)
            return f"{scaled:.1f}{unit}" if abs(scaled) < 100 else f"{scaled:.0f}{unit}"
    return f"{number:.0e}"


def rate(per_second: float | None) -> str:
    """Show a rate per second: one decimal below ten."""
    if per_second is None:
        return UNKNOWN
    if 0 < per_second < 9.95:
        return f"{per_second:.1f}"
    return short_count(round(per_second))


def size(count_bytes: float | None) -> str:
    """Show a size in bytes: `512B`, `1.2K`, `64M`, `1.1G`."""
    if count_bytes is None:
        return UNKNOWN
    value = float(count_bytes)
    for unit in ("B", "K", "M", "G"):
        if value < 1000:
            return f"{value:.0f}{unit}" if unit == "B" or value >= 10 else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}T"
