"""The file that says which process a worker is, locked as long as that process lives.

Source: CLI 4 (EX_CANTCREAT); RELIABILITY 7 (16): a lock, not a guess from the pid in it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tq.errors import ConfigError, PidFileTaken
from tq.process import FileLock

__all__ = ["pid_file"]

_ATTEMPTS = 10


@contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Hold a pid file for a block, and remove it afterwards; None does nothing.

    A file that nobody has locked is stale, whatever stands in it, and is taken over.

    Raises:
        PidFileTaken: Another process holds it.
        ConfigError: It cannot be written.
    """
    if path is None:
        yield
        return
    lock = _take(Path(path))
    try:
        yield
    finally:
        # Removed before it is unlocked: whoever waits for the lock then finds that the name leads
        # to another file, and tries again.
        if _still_ours(lock):
            lock.path.unlink(missing_ok=True)
        lock.close()


def _take(path: Path) -> FileLock:
    """Lock the file and write our pid into it."""
    for _ in range(_ATTEMPTS):
        lock = FileLock(path)
        try:
            held = lock.try_acquire()
        except ConfigError as exc:
            reason = exc.__cause__.strerror if isinstance(exc.__cause__, OSError) else exc
            raise ConfigError(f"--pidfile {path}: {reason}") from exc
        if not held:
            raise PidFileTaken(f"the pid file {path} is held by process {_read(path)}")
        if _still_ours(lock):
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), f"{os.getpid()}\n".encode(), 0)
            os.fchmod(lock.fileno(), 0o644)  # supervisors of other users read it
            return lock
        lock.close()
    raise PidFileTaken(f"the pid file {path} is removed and made again by others all the time")


def _still_ours(lock: FileLock) -> bool:
    """Tell whether the path still leads to the file that we locked."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), lock.path.lstat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> str:
    """Return the pid in a file that another process holds, as far as there is one."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return "?"
    return text if text.isdigit() and len(text) < 20 else "?"
