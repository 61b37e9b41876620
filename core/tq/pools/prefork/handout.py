"""Who gets how many of the waiting jobs. Pure."""

from collections.abc import Sequence

__all__ = ["CLOSED", "share"]

CLOSED = -1  # the load of a child that must not be given anything


def share(waiting: int, loads: Sequence[int], window: int) -> list[int]:
    """Divide waiting jobs among children.

    Idle children come first and get equal parts, so that few jobs spread over all of them. A child
    at work is topped up when half its window is free: then batches stay large under load.

    Args:
        waiting: Jobs to hand out.
        loads: Jobs each child holds, or `CLOSED`.
        window: Most jobs that one child may hold.

    Returns:
        A number for each child.
    """
    parts = [0] * len(loads)
    idle = [index for index, load in enumerate(loads) if load == 0]
    for position, index in enumerate(idle):
        part = min(window, -(-waiting // (len(idle) - position)))
        parts[index] = part
        waiting -= part
    for index, load in enumerate(loads):
        room = window - load
        if waiting > 0 and load > 0 and room > 0 and room * 2 >= window:
            parts[index] = part = min(room, waiting)
            waiting -= part
    return parts
