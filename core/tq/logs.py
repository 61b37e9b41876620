"""One logging configuration for a worker, its children and the tasks they run.

Nothing here costs anything on the hot path while the level is above INFO: callers ask
`logger.isEnabledFor` first, and the name and id of the running task are looked up only when a task
logs a line.

Source: celery/app/log.py (`Logging`, `TaskFormatter`), celery/utils/log.py.
"""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TextIO

from tq.errors import ConfigError
from tq.nodename import expand_path

__all__ = [
    "DEFAULT_FORMAT",
    "DEFAULT_TASK_FORMAT",
    "TASK_LOGGER",
    "JsonFormatter",
    "LineFormatter",
    "LogOptions",
    "TaskFormatter",
    "get_task_logger",
    "level_number",
    "redirect_stdouts",
    "reopen",
    "set_task_source",
    "setup",
]

DEFAULT_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
DEFAULT_TASK_FORMAT = (
    "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
)
TASK_LOGGER = "tq.task"  # parent of all loggers that tasks use

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")
_COLOURS = {"DEBUG": "34", "WARNING": "33", "ERROR": "31", "CRITICAL": "35"}

_task_source: Callable[[], tuple[str, str] | None] = lambda: None  # noqa: E731 - a default


def set_task_source(source: Callable[[], tuple[str, str] | None]) -> None:
    """Say where the running task's `(name, id)` is found; called for each line a task logs."""
    global _task_source  # one process, one hook: installed by whoever runs tasks
    _task_source = source


def get_task_logger(name: str) -> logging.Logger:
    """Return the logger for a module of tasks: its lines carry the task's name and id.

    Raises:
        RuntimeError: The name is that of the parent of all task loggers.
    """
    if name == TASK_LOGGER:
        raise RuntimeError(f"Logger name {name!r} is reserved!")
    logger = logging.getLogger(name)
    if logger.parent is not None and logger.parent.name != TASK_LOGGER:
        logger.parent = logging.getLogger(TASK_LOGGER)
    return logger


def level_number(level: str | int | None) -> int:
    """Turn what a user gave for `-l` into a logging level; None is WARNING.

    Raises:
        ConfigError: There is no such level; the message lists those there are.
    """
    if level is None:
        return logging.WARNING
    if isinstance(level, int) and not isinstance(level, bool):
        return level
    name = str(level).upper()
    if name not in _LEVELS:
        raise ConfigError(f"unknown log level {level!r}: one of {', '.join(_LEVELS)}")
    return int(getattr(logging, name))


class LineFormatter(logging.Formatter):
    """Celery's line, coloured by level when asked."""

    def __init__(self, fmt: str = DEFAULT_FORMAT, *, colour: bool = False) -> None:
        """Keep the format."""
        super().__init__(fmt)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; one that cannot be formatted says so instead of being lost."""
        try:
            line = super().format(record)
        except (TypeError, ValueError) as exc:
            line = f"<log line of {record.pathname}:{record.lineno} unreadable: {exc!r}>"
        code = _COLOURS.get(record.levelname) if self._colour else None
        return f"\x1b[1;{code}m{line}\x1b[0m" if code else line


class TaskFormatter(LineFormatter):
    """The same with `%(task_name)s` and `%(task_id)s` of the running task."""

    def __init__(self, fmt: str = DEFAULT_TASK_FORMAT, *, colour: bool = False) -> None:
        """Keep the format."""
        super().__init__(fmt, colour=colour)

    def format(self, record: logging.LogRecord) -> str:
        """Add the task's name and id, `???` outside tasks as in Celery."""
        task = _task_source()
        record.task_name, record.task_id = task if task is not None else ("???", "???")
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, process, logger, message, the running task and any exception."""
        fields: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "process": record.processName,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        task = _task_source()
        if task is not None:
            fields["task_name"], fields["task_id"] = task
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(fields, default=str)


class LogOptions:
    """What `-l`, `-f` and the settings say about logging.

    Attributes:
        level: A level's number.
        logfile: A path that may hold the codes of CLI 5, an open stream, or None for stderr.
        node: The node name that the codes expand to.
        colour: None colours a terminal, unless `NO_COLOR` is set.
        as_json: Lines are JSON objects.
    """

    def __init__(
        self,
        level: str | int | None = None,
        logfile: str | TextIO | None = None,
        *,
        node: str = "",
        colour: bool | None = None,
        fmt: str = DEFAULT_FORMAT,
        task_fmt: str = DEFAULT_TASK_FORMAT,
        as_json: bool = False,
    ) -> None:
        """Check the level and keep the rest."""
        self.level = level_number(level)
        self.logfile = logfile
        self.node = node
        self.colour = colour
        self.fmt = fmt
        self.task_fmt = task_fmt
        self.as_json = as_json

    def per_child(self) -> bool:
        """Tell whether each pool process writes a file of its own."""
        return isinstance(self.logfile, str) and ("%i" in self.logfile or "%I" in self.logfile)

    def formatters(self, colour: bool) -> tuple[logging.Formatter, logging.Formatter]:
        """Build the formatter of ordinary lines and that of tasks' lines."""
        if self.as_json:
            return JsonFormatter(), JsonFormatter()
        return LineFormatter(self.fmt, colour=colour), TaskFormatter(self.task_fmt, colour=colour)


def setup(options: LogOptions, index: int = 0) -> logging.Handler:
    """Send the root logger and the tasks' logger to one place; earlier handlers of both go.

    Args:
        options: What to write and where.
        index: The pool process, 0 in the main one; part of a file's name.

    Returns:
        The root's handler.

    Raises:
        ConfigError: The log file cannot be opened.
    """
    handlers = [_open(options, index), _open(options, index)]
    stream = getattr(handlers[0], "stream", None)
    colour = options.colour
    if colour is None:
        colour = not isinstance(options.logfile, str) and _is_terminal(stream)
    task_logger = logging.getLogger(TASK_LOGGER)
    loggers = (logging.getLogger(), task_logger)
    for logger, handler, formatter in zip(
        loggers, handlers, options.formatters(colour), strict=True
    ):
        handler.setFormatter(formatter)
        for old in list(logger.handlers):
            logger.removeHandler(old)
            if not isinstance(old, logging.StreamHandler) or isinstance(old, logging.FileHandler):
                old.close()
        logger.addHandler(handler)
        logger.setLevel(options.level)
    task_logger.propagate = False
    logging.captureWarnings(True)
    return handlers[0]


def reopen(options: LogOptions, index: int) -> None:
    """Give a pool process a log file of its own, if the path has a code for it."""
    if options.per_child():
        setup(options, index)


def _open(options: LogOptions, index: int) -> logging.Handler:
    if not isinstance(options.logfile, str):
        return logging.StreamHandler(options.logfile or sys.__stderr__ or sys.stderr)
    path = expand_path(options.logfile, options.node, index)
    try:
        return logging.FileHandler(path, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot write the log file {path}: {exc.strerror}") from exc


def _is_terminal(stream: IO[str] | None) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


class _LineWriter:
    """A text stream whose lines become log records."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._busy = False

    def write(self, text: str) -> int:
        """Log each line; what a handler prints while it logs is dropped, as it would recurse."""
        if self._busy:
            return 0
        self._busy = True
        try:
            for line in text.rstrip().splitlines():
                self._logger.log(self._level, "%s", line)
        finally:
            self._busy = False
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Log lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: lines are logged as they come."""

    def isatty(self) -> bool:
        """Say no."""
        return False


@contextmanager
def redirect_stdouts(level: int = logging.WARNING) -> Iterator[None]:
    """Send what tasks print to their logger, until the block ends."""
    writer = _LineWriter(logging.getLogger(f"{TASK_LOGGER}.stdout"), level)
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = writer
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
