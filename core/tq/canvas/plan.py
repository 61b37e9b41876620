"""What starting a canvas comes to, and its sending in batches."""

import time
from typing import Any

__all__ = ["Plan"]

# As many calls as go out in one round trip; the copies that sending makes live no longer than that.
BATCH = 250
BATCH_SECONDS = 0.1


class Plan:
    """Chords to prepare and calls to publish, collected while a canvas is taken apart.

    A chord's size is written before the last part of its header is published: parts may be counted
    before it is there, but the last one finds it (celery#8182, #10387).

    Attributes:
        groups: Group id -> structure to save, for headers whose parts are groups themselves.
        sizes: Group id -> number of parts.
        calls: Simple signatures, complete with `task_id`, in publishing order.
        trail: Results of groups that become children of the running task.
    """

    __slots__ = ("_app", "_deadline", "calls", "groups", "sizes", "trail")

    def __init__(self, app: Any) -> None:
        """Start empty.

        Args:
            app: A `Sender`.
        """
        self._app = app
        self._deadline = time.monotonic() + BATCH_SECONDS
        self.groups: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.calls: list[Any] = []
        self.trail: list[Any] = []

    def make_room(self) -> None:
        """Publish what has come together, if it fills a batch or has waited for long.

        Called after each member of a group. The newest call always stays, since it may be the last
        part of each chord that is being planned, whose sizes are not known yet.
        """
        if len(self.calls) > BATCH or (self.calls and time.monotonic() >= self._deadline):
            newest = self.calls.pop()
            self._send()
            self.calls.append(newest)

    def run(self) -> None:
        """Write the chords' records, then publish all calls that are left in bulk."""
        self._send()
        for result in self.trail:
            self._app.add_trail(result)

    def _send(self) -> None:
        for group_id, record in self.groups.items():
            self._app.backend.save_group(group_id, record)
        if self.sizes:
            self._app.backend.set_chord_sizes(self.sizes)
        if len(self.calls) == 1:
            self.calls[0].apply_async()
        elif self.calls:
            self._app.send_many(self.calls)
        self.groups, self.sizes, self.calls = {}, {}, []
        self._deadline = time.monotonic() + BATCH_SECONDS
