"""The worker's pid file: held while the worker lives, gone when it ends in order.

Source: CLI 4 (EX_CANTCREAT).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tq.daemon import PidFile

__all__ = ["pid_file"]

logger = logging.getLogger(__name__)


@contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Hold a pid file for a block; None does nothing.

    Raises:
        PidFileTaken: Another process holds it.
        ConfigError: It cannot be written.
    """
    if path is None:
        yield
        return
    held = PidFile(path)
    if held.acquire():
        logger.warning("the pid file %s was left behind by a worker that is gone", path)
    try:
        yield
    finally:
        held.release()
