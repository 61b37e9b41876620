"""What starting a canvas comes to, before anything is sent."""

from typing import Any

__all__ = ["Plan"]


class Plan:
    """Chords to prepare and calls to publish, collected while a canvas is taken apart.

    A chord's size is written before any part of its header is published: a part that is counted
    first would find no size, and nobody would look again (celery#8182, #10387).

    Attributes:
        groups: Group id -> structure to save, for headers whose parts are groups themselves.
        sizes: Group id -> number of parts.
        calls: Simple signatures, complete with `task_id`, in publishing order.
        trail: Results of groups that become children of the running task.
    """

    __slots__ = ("calls", "groups", "sizes", "trail")

    def __init__(self) -> None:
        """Start empty."""
        self.groups: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.calls: list[Any] = []
        self.trail: list[Any] = []

    def run(self, app: Any) -> None:
        """Write the chords' records, then publish all calls in bulk.

        Args:
            app: A `Sender`.
        """
        for group_id, record in self.groups.items():
            app.backend.save_group(group_id, record)
        if self.sizes:
            app.backend.set_chord_sizes(self.sizes)
        if len(self.calls) == 1:
            self.calls[0].apply_async()
        elif self.calls:
            app.send_many(self.calls)
        for result in self.trail:
            app.add_trail(result)
