"""The transport options that are about behaviour, checked once."""

from collections.abc import Mapping
from typing import Any

import msgspec

from tq.errors import ConfigError
from tq.wire.limits import LIMITS, Limits

__all__ = ["Options", "read_options"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer needs to know.

    Attributes:
        lease: Seconds after its last sign of life at which a consumer counts as dead.
        delivery_limit: How many deliveries of a message may end unsettled; 0 is no limit.
        dead_count: Most dead letters.
        dead_bytes: Most bytes of dead letters.
        limits: What is refused before it is decoded.
    """

    lease: float = 10.0
    delivery_limit: int = 5
    dead_count: int = 10_000
    dead_bytes: int = 64 * 1024 * 1024
    limits: Limits = LIMITS

    @property
    def upkeep_timeout(self) -> float:
        """Seconds to wait for the answer to a small command on which the lease depends."""
        return min(10.0, max(3.0, self.lease / 2))

    @property
    def dead_caps(self) -> tuple[int, int]:
        """Both caps of the dead letters."""
        return (self.dead_count, self.dead_bytes)


def read_options(given: Mapping[str, Any]) -> Options:
    """Pick and check our own options; kombu's are left to others.

    Args:
        given: Transport options; ours are `lease`, `delivery_limit`, `dead_count`, `dead_bytes`
            and `max_message_size` (bytes).

    Raises:
        ConfigError: A value makes no sense; the message names the option.
    """
    found: dict[str, Any] = {}
    if given.get("lease") is not None:
        found["lease"] = _number(given, "lease", float, 0.2, 86400.0)
    for name, least in (("delivery_limit", 0), ("dead_count", 1), ("dead_bytes", 1024)):
        if given.get(name) is not None:
            found[name] = _number(given, name, int, least, 2**40)
    if given.get("max_message_size") is not None:
        size = _number(given, "max_message_size", int, 1024, 2**29)
        found["limits"] = msgspec.structs.replace(LIMITS, message=size)
    return Options(**found)


def _number(given: Mapping[str, Any], name: str, kind: type, least: float, most: float) -> Any:
    """Read a number within bounds."""
    try:
        value = kind(given[name])
    except (TypeError, ValueError):
        value = None
    if value is None or not least <= value <= most:
        raise ConfigError(
            f"the transport option {name} must be a number from {least} to {most}, "
            f"not {given[name]!r}"
        )
    return value
