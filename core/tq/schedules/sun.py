"""The sun: an extra, since its arithmetic is a library's.

Source: celery/schedules.py, `solar` (events, horizons).
"""

import importlib
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from tq.errors import ConfigError
from tq.schedules.base import BaseSchedule

__all__ = ["solar"]

# event -> (method of the observer, horizon in degrees, by the centre of the disc)
_EVENTS = {
    "dawn_astronomical": ("next_rising", "-18", True),
    "dawn_nautical": ("next_rising", "-12", True),
    "dawn_civil": ("next_rising", "-6", True),
    "sunrise": ("next_rising", "-0:34", False),
    "solar_noon": ("next_transit", "0", False),
    "sunset": ("next_setting", "-0:34", False),
    "dusk_civil": ("next_setting", "-6", True),
    "dusk_nautical": ("next_setting", "-12", True),
    "dusk_astronomical": ("next_setting", "-18", True),
}
_MOST_DAYS = 366  # a polar night ends within a year


class solar(BaseSchedule):
    """Sunrise, sunset, noon, dawn or dusk at a place.

    Attributes:
        event: One of the nine names.
        lat: Degrees of latitude, north positive.
        lon: Degrees of longitude, east positive.
    """

    def __init__(
        self,
        event: str,
        lat: float,
        lon: float,
        *,
        nowfun: Callable[[], datetime] | None = None,
        app: Any = None,
    ) -> None:
        """Check event and place.

        Raises:
            ConfigError: They make no sense, or the package `ephem` is missing.
        """
        super().__init__(nowfun, app)
        if event not in _EVENTS:
            known = ", ".join(sorted(_EVENTS))
            raise ConfigError(f"solar: event={event!r} is none of {known}", field="event")
        self.event = event
        self.lat = _degrees("lat", lat, 90)
        self.lon = _degrees("lon", lon, 180)
        self._ephem = _load()

    def next_after(self, after: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return the next time of the event; None when the sun does not do that for a year."""
        method, horizon, centre = _EVENTS[self.event]
        ephem = self._ephem
        place = ephem.Observer()
        place.lat, place.lon = str(self.lat), str(self.lon)
        place.elevation, place.pressure, place.horizon = 0, 0, horizon
        keywords = {} if method == "next_transit" else {"use_center": centre}
        # A second on: at the very moment the library would find the same event again.
        start = after.astimezone(UTC) + timedelta(seconds=1)
        for day in range(_MOST_DAYS):
            place.date = (start + timedelta(days=day)).replace(tzinfo=None)
            try:
                found = getattr(place, method)(ephem.Sun(), **keywords)
            except ephem.CircumpolarError:  # polar day or night
                continue
            moment: datetime = found.datetime().replace(tzinfo=UTC)
            if moment > after:
                return moment
        return None

    def human(self) -> str:
        """Say the schedule in words: `at sunset (52.5, 13.4)`."""
        return f"at {self.event.replace('_', ' ')} ({self.lat:g}, {self.lon:g})"

    def __eq__(self, other: object) -> bool:
        """Compare event and place."""
        if not isinstance(other, solar):
            return NotImplemented
        return (self.event, self.lat, self.lon) == (other.event, other.lat, other.lon)

    def __hash__(self) -> int:
        return hash((self.event, self.lat, self.lon))

    def __repr__(self) -> str:
        """Show event and place as Celery does."""
        return f"<solar: {self.event} at latitude {self.lat}, longitude: {self.lon}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as event and place."""
        return (type(self), (self.event, self.lat, self.lon))


def _degrees(name: str, given: Any, limit: int) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
        raise ConfigError(f"solar: {name} must be degrees, not {given!r}", field=name)
    if not -limit <= given <= limit:
        raise ConfigError(
            f"solar: {name} must be between -{limit} and {limit}, not {given!r}", field=name
        )
    return given


def _load() -> Any:
    try:
        # The extra `solar`: only such schedules need it.
        return importlib.import_module("ephem")
    except ImportError as exc:
        raise ConfigError(
            "solar schedules need the package ephem: pip install 'tqconsole[solar]'",
            field="schedule",
        ) from exc
