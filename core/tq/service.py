"""The start/stop contract that every long-lived part of a process keeps."""

from typing import Protocol

__all__ = ["Service"]


class Service(Protocol):
    """Something that runs until told to stop.

    `stop` before `start`, and a second `stop`, do nothing.
    """

    name: str

    def start(self) -> None:
        """Begin; returns when the service is ready."""
        ...

    def stop(self, deadline: float) -> None:
        """End; returns when the service has ended or the monotonic `deadline` has passed."""
        ...
