"""Times as commands print them: UTC, ISO 8601."""

from datetime import UTC, datetime

__all__ = ["iso"]


def iso(timestamp: float | None) -> str | None:
    """Return a wall timestamp as text with milliseconds; None stays None."""
    if not timestamp:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, OSError, ValueError):
        return None  # foreign clocks may say anything
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
