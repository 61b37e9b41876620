"""Going into the background, in processes of their own: the test runner must not fork itself."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tq import daemon

PROGRAM = """
import os, sys, signal
from tq import daemon
from tq.errors import ConfigError
def run(ready):
    {body}
print(daemon.detach(run, timeout={timeout}), os.getpid())
"""


def detached(body: str, tmp_path: Path, timeout: float = 20.0) -> str:
    program = PROGRAM.format(body=body, timeout=timeout)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=40, env=env,
        cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_the_caller_returns_when_the_program_is_ready(tmp_path):
    body = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); "
        "held = daemon.PidFile('p.pid'); held.acquire(); ready(); "
        "signal.sigwait([signal.SIGUSR1]); open('ended', 'w').close(); held.release(); return 0"
    )
    assert detached(body, tmp_path).startswith("(0, '')")
    pid, held = daemon.pid_of(tmp_path / "p.pid")
    assert held
    assert os.getsid(pid) != os.getsid(0)
    assert os.getsid(pid) != pid, "a session leader could gain a terminal"
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {os.devnull}
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: (tmp_path / "ended").exists())
    eventually(lambda: not (tmp_path / "p.pid").exists())


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ConfigError('no such thing')", "(2, 'no such thing')"),
        ("raise ValueError('odd')", "(1, 'ValueError: odd')"),
        ("sys.exit(7)", "(7, 'ended early')"),
        ("return 0", "(1, 'ended early')"),
        ("raise daemon.PidFileTaken('held by 5', pid=5)", "(73, 'held by 5')"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "(1, 'it ended without a word')"),
    ],
)
def test_what_fails_before_it_is_ready_is_told(tmp_path, body, told):
    assert detached(body, tmp_path).startswith(told)


def test_a_program_that_takes_long_is_not_waited_for(tmp_path):
    body = "signal.sigtimedwait([signal.SIGUSR1], 3); return 0"
    assert "still starting" in detached(body, tmp_path, timeout=0.2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_another_user_has_no_way_back(tmp_path):
    program = (
        "import os; from tq import daemon; daemon.become('nobody', None, 0o27); "
        "print(os.getuid(), os.getgroups() == [os.getgid()], oct(os.umask(0)))\n"
        "try:\n    os.setuid(0)\nexcept PermissionError:\n    print('closed')"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=40, env=env,
        cwd=tmp_path, check=True,
    )  # fmt: skip
    nobody = pwd.getpwnam("nobody")
    assert done.stdout.split() == [str(nobody.pw_uid), "True", "0o27", "closed"]
