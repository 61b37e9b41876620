"""Times as commands print them: UTC, ISO 8601, and spans in words."""

from datetime import UTC, datetime

__all__ = ["iso", "span", "until"]

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def iso(timestamp: float | None) -> str | None:
    """Return a wall timestamp as text with milliseconds; None stays None."""
    if not timestamp:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, OSError, ValueError):
        return None  # foreign clocks may say anything
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(seconds: float) -> str:
    """Say a time span in its two largest units: `3 h 12 min`."""
    left = round(max(0.0, seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def until(text: object, now: float) -> str | None:
    """Say how long it is to a moment in ISO 8601: `in 3 h 12 min`, or `now` when it is over.

    Args:
        text: As workers send it; without a zone it is meant in UTC.
        now: Wall-clock timestamp.

    Returns:
        The words; None when `text` is no moment.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    left = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - now
    return f"in {span(left)}" if left > 0 else "now"
