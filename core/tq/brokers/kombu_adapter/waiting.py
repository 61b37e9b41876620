"""Waiting for descriptors of any number: `select` stops at 1024."""

import select

__all__ = ["wait_readable"]


def wait_readable(descriptors: list[int], timeout: float) -> None:
    """Return when one of them is readable or broken, or after `timeout` seconds."""
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    poll.poll(max(timeout, 0) * 1000)
