"""Sets logging up for a worker as its options and settings say.

Source: celery/app/log.py, `Logging.setup` (order of the signals).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tq import logs, signals
from tq.config import Settings
from tq.worker.options import WorkerOptions

__all__ = ["journal", "log_options"]


def log_options(options: WorkerOptions, settings: Settings) -> logs.LogOptions | None:
    """Return how to log, or None when the worker leaves logging as it is configured."""
    if options.loglevel is None and options.logfile is None:
        return None
    return logs.LogOptions(
        options.loglevel,
        options.logfile,
        node=options.hostname,
        colour=options.colour,
        fmt=settings.worker_log_format,
        task_fmt=settings.worker_task_log_format,
        as_json=settings.worker_log_json,
    )


@contextmanager
def journal(options: logs.LogOptions | None, settings: Settings) -> Iterator[None]:
    """Log as asked for, unless a receiver of `setup_logging` sees to it."""
    if options is None:
        yield
        return
    arguments = {"loglevel": options.level, "logfile": options.logfile, "colorize": options.colour}
    if signals.setup_logging.receivers:
        signals.setup_logging.send(sender=None, format=options.fmt, **arguments)
        yield
        return
    logs.setup(options)
    for sent, name, fmt in (
        (signals.after_setup_logger, None, options.fmt),
        (signals.after_setup_task_logger, logs.TASK_LOGGER, options.task_fmt),
    ):
        sent.send(sender=None, logger=logging.getLogger(name), format=fmt, **arguments)
    if not settings.worker_redirect_stdouts:
        yield
        return
    with logs.redirect_stdouts():
        yield
