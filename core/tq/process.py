"""Processes and the files that tell them apart: locks, private folders, detached servers."""

import contextlib
import errno
import fcntl
import os
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tq.errors import ConfigError, TQError

__all__ = ["FileLock", "is_alive", "locked", "private_folder", "start_detached"]

_POLL = 0.01


class FileLock:
    """An exclusive lock on a file, released by the kernel when its last holder dies.

    A child that inherits the descriptor holds the lock with us: a server that was given one is
    alive as long as the lock cannot be taken, whatever became of its pid.
    """

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.path = path
        self._fd = -1

    def try_acquire(self) -> bool:
        """Take the lock unless somebody has it."""
        if self._fd < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                self._fd = os.open(self.path, flags, 0o600)
            except OSError as error:
                raise ConfigError(f"cannot open the lock {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            self.close()
            return False
        return True

    def acquire(self, timeout: float) -> bool:
        """Take the lock, waiting up to `timeout` seconds for it."""
        deadline = time.monotonic() + timeout
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def fileno(self) -> int:
        """Return the descriptor that holds the lock, to be inherited."""
        return self._fd

    def close(self) -> None:
        """Give up our hold; others who inherited it keep theirs."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def locked(path: Path, timeout: float) -> Iterator[FileLock]:
    """Hold a file's lock for a block.

    Raises:
        TQError: Somebody else held it for `timeout` seconds.
    """
    lock = FileLock(path)
    if not lock.acquire(timeout):
        raise TQError(f"another process has held {path} for {timeout:g} s")
    try:
        yield lock
    finally:
        lock.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process of that id exists; it may be another than the one you mean."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can look into, or check that it is one.

    Raises:
        ConfigError: It cannot be made, is no folder, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"{path} is not a folder")
        if found.st_uid != os.geteuid():
            raise ConfigError(f"{path} belongs to another user; set TQ_STATE_DIR to one of yours")
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"cannot use the folder {path}: {error.strerror}") from error
    return path


def start_detached(
    command: Sequence[str], folder: Path, *, keep: Sequence[int] = (), timeout: float = 10.0
) -> tuple[int, str]:
    """Run a command that puts itself into the background, in a session of its own.

    Args:
        command: Program and arguments.
        folder: Its working directory.
        keep: Descriptors it inherits, beside the standard ones (which are closed to it).
        timeout: Seconds it may take to fork itself away.

    Returns:
        The exit status of the foreground part, and what it printed.
    """
    # A new session: a terminal's interrupt must not reach it.
    done = subprocess.run(
        list(command),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=tuple(keep),
        start_new_session=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()
