"""ISO 8601 times as Celery writes them.

Source: PROTOCOL 3.5.
"""

from datetime import UTC, datetime, tzinfo

from tq.errors import DecodeError
from tq.saferepr import saferepr

__all__ = ["format_time", "parse_time"]

# A wrong unit (milliseconds, say) or nonsense would overflow `datetime`.
_MAX_TIMESTAMP = 253402300799.0


def parse_time(text: str, tz: tzinfo | None = None) -> float:
    """Turn ISO 8601 text into a wall timestamp.

    Args:
        text: A date and time, with or without offset.
        tz: The zone of texts without offset; UTC when None.

    Raises:
        DecodeError: `bad_time`.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=tz or UTC)
        return moment.timestamp()
    except (ValueError, TypeError, OverflowError) as exc:
        shown = saferepr(text, 100)
        raise DecodeError(f"{shown} is no ISO 8601 time", reason="bad_time") from exc


def format_time(timestamp: float, tz: tzinfo | None = None) -> str:
    """Turn a wall timestamp into the text that `eta` and `expires` carry.

    Args:
        timestamp: Seconds since the epoch; beyond the year 9999 it is cut to that.
        tz: The zone to write it in; UTC when None.
    """
    return datetime.fromtimestamp(min(timestamp, _MAX_TIMESTAMP), tz or UTC).isoformat()
