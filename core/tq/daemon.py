"""Becoming a daemon: pid files that tell the truth, going into the background, another user.

Source: CLI 2 (daemon options); celery/platforms.py (`Pidfile`, `DaemonContext`,
`maybe_drop_privileges`).
"""

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import select
import signal
import time
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path

from tq.errors import ConfigError, TQError

__all__ = [
    "EXIT_CANNOT_CREATE",
    "PidFile",
    "PidFileTaken",
    "become",
    "detach",
    "pid_of",
    "read_umask",
    "tell_systemd",
]

_log = logging.getLogger(__name__)

EXIT_CANNOT_CREATE = 73
_READY = b"ready"


class PidFileTaken(TQError):
    """The process that a pid file belongs to still runs; `pid` is its id."""

    pid: int = 0


class PidFile:
    """A pid file that is locked as long as its process lives.

    The lock, not the number, says whether the process runs: numbers are used again, and files stay
    behind after a power cut. Children drop the lock, so that it is the parent's alone.
    """

    def __init__(self, path: str | Path) -> None:
        """Name the file."""
        self.path = Path(path)
        self._fd = -1
        _held.add(self)

    def acquire(self) -> bool:
        """Lock the file and write our pid; returns whether an old one was left behind.

        Raises:
            PidFileTaken: Its process lives.
            ConfigError: It cannot be written.
        """
        while True:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                text = os.pread(fd, 32, 0)
                os.close(fd)
                if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise ConfigError(f"cannot lock {self.path}: {exc.strerror}") from exc
                pid = _number(text)
                raise PidFileTaken(
                    f"the pid file {self.path} belongs to process {pid or '?'}, which runs", pid=pid
                ) from exc
            # Between opening and locking its owner may have ended and removed it.
            if self._is_still(fd):
                break
            os.close(fd)
        stale = os.pread(fd, 32, 0) != b""
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        self._fd = fd
        return stale

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o644)
        except FileNotFoundError as exc:
            folder = self.path.parent
            raise ConfigError(f"the folder of the pid file, {folder}, does not exist") from exc
        except OSError as exc:
            raise ConfigError(f"cannot write the pid file {self.path}: {exc.strerror}") from exc

    def _is_still(self, fd: int) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        opened = os.fstat(fd)
        return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)

    def release(self) -> None:
        """Remove the file, if it is ours."""
        if self._fd < 0:
            return
        if self._is_still(self._fd):
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.forget()

    def forget(self) -> None:
        """Let go of the lock and leave the file alone."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_held: "weakref.WeakSet[PidFile]" = weakref.WeakSet()


def _forget_all() -> None:
    for held in list(_held):
        held.forget()


# A child of the pool must not keep its parent's pid file locked when the parent is gone.
os.register_at_fork(after_in_child=_forget_all)


def pid_of(path: str | Path) -> tuple[int, bool]:
    """Return the pid in a file, 0 without one, and whether its process holds the file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0, False
    except OSError as exc:
        raise ConfigError(f"cannot read the pid file {path}: {exc.strerror}") from exc
    try:
        pid = _number(os.read(fd, 32))
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return pid, True
        return pid, False
    finally:
        os.close(fd)


def _number(text: bytes) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else 0


def read_umask(text: str | int | None) -> int | None:
    """Return a umask written in octal.

    Raises:
        ConfigError: It is none.
    """
    if text is None or isinstance(text, int):
        return text
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ConfigError(f"--umask must be octal, such as 022, not {text!r}")
    return mask


def become(uid: str | int | None, gid: str | int | None, umask: int | None = None) -> None:
    """Change to another user and group for good, and set the umask.

    Args:
        uid: Name or number; its own groups are taken, unless `gid` says otherwise.
        gid: Name or number.
        umask: Of files that are made from now on.

    Raises:
        ConfigError: There is no such user or group, or we may not become it.
    """
    if umask is not None:
        os.umask(umask)
    if uid is None and gid is None:
        return
    user = _user(uid) if uid is not None else None
    group = _group(gid) if gid is not None else user.pw_gid if user else os.getgid()
    try:
        if os.geteuid() == 0:
            if user is not None:
                os.initgroups(user.pw_name, group)
            else:
                os.setgroups([group])
        os.setgid(group)
        if user is not None:
            os.setuid(user.pw_uid)
    except PermissionError as exc:
        raise ConfigError("only root may use --uid and --gid to become somebody else") from exc
    if user is not None and user.pw_uid != 0:
        _check_dropped()


def _check_dropped() -> None:
    """Make sure that the way back is closed."""
    with contextlib.suppress(PermissionError):
        os.setuid(0)
        raise ConfigError("could become root again after --uid; this system is not safe to use")


def _user(given: str | int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(given)) if str(given).isdigit() else pwd.getpwnam(str(given))
    except KeyError as exc:
        raise ConfigError(f"--uid: there is no user {given!r}") from exc


def _group(given: str | int) -> int:
    try:
        return int(given) if str(given).isdigit() else grp.getgrnam(str(given)).gr_gid
    except KeyError as exc:
        raise ConfigError(f"--gid: there is no group {given!r}") from exc


def tell_systemd() -> None:
    """Say that the program is ready, where systemd waits for that (`Type=notify`).

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket  # only under systemd

    # An address that begins with @ is in the kernel's own name space, which a zero byte stands for.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", target)
    except OSError as exc:
        _log.warning("systemd cannot be told that the program is ready: %s", exc)


def detach(run: Callable[[Callable[[], None]], int], *, timeout: float = 30.0) -> tuple[int, str]:
    """Run a program in the background, and wait until it says that it is ready.

    Must be called before any thread is started or connection opened.

    Args:
        run: The program; called in the new process with a function that it calls when it is ready.
            Its result is the exit code; before it is ready, what it raises is told to us.
        timeout: Seconds after which we no longer wait for it to be ready.

    Returns:
        In the calling process only: 0, or the code with which it failed to start, and the reason.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _second_fork(run, writer)
    os.close(writer)
    try:
        os.waitpid(child, 0)
        return _await_ready(reader, timeout)
    finally:
        os.close(reader)


def _second_fork(run: Callable[[Callable[[], None]], int], writer: int) -> None:
    """Leave the session, fork again so that no terminal can be gained, and run; never returns."""
    code = 1
    try:
        os.setsid()
        code = _run_detached(run, writer) if os.fork() == 0 else 0
    finally:
        os._exit(code)


def _run_detached(run: Callable[[Callable[[], None]], int], writer: int) -> int:
    told = False

    def tell(text: bytes) -> None:
        nonlocal told
        if not told:
            told = True
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(writer, text[:4000])
            os.close(writer)

    # The pipe must not stay open in whoever we start.
    os.set_inheritable(writer, False)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        code = run(lambda: tell(_READY))
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
        tell(b"%d\nended early" % code)
    except TQError as exc:
        code = EXIT_CANNOT_CREATE if isinstance(exc, PidFileTaken) else 2
        tell(b"%d\n%s" % (code, str(exc).encode()))
    except BaseException as exc:
        code = 1
        tell(b"1\n%s" % "".join(traceback.format_exception_only(exc)).strip().encode())
    tell(b"%d\nended early" % (code or 1))
    return code


def _await_ready(reader: int, timeout: float) -> tuple[int, str]:
    deadline = time.monotonic() + timeout
    text = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            break
        data = os.read(reader, 4096)
        if not data:
            return (1, "it ended without a word") if not text else _verdict(text)
        text += data
        if text == _READY:
            return 0, ""
    return 0, f"it is still starting after {timeout:g} s"


def _verdict(text: bytes) -> tuple[int, str]:
    if text == _READY:
        return 0, ""
    code, _, reason = text.decode("utf-8", "replace").partition("\n")
    return int(code) if code.isdigit() else 1, reason
