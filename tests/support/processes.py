"""Real processes for tests: tq and Celery workers in process groups of their own, and `tq` itself."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.lifetime import die_with_parent
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
# For audit files and the like; short, because an embedded broker's socket may lie below it.
_STATE = tempfile.mkdtemp(prefix="tqs-")
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)
BIN = Path(sys.executable).parent


def environment(url: str, **more: str) -> dict[str, str]:
    """What a child process gets: our paths, the broker, nothing of the user's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TQ_", "CELERY_"))}
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT)])
    ours = {"PYTHONPATH": path, "PYTHONWARNINGS": "default", "XDG_STATE_HOME": _STATE}
    return {**kept, **ours, "PEER_URL": url, **more}


def run_tq(
    *argv: str, url: str = "", timeout: float = 30.0, **env: str
) -> subprocess.CompletedProcess:
    """Run the `tq` command to its end, as a user would."""
    return subprocess.run(
        [str(BIN / "tq"), *argv],
        env=environment(url, **env),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


class Process:
    """A long-running process and its children, with its output in a file."""

    def __init__(self, argv: list[str], url: str, **env: str) -> None:
        self.log = Path(tempfile.mkstemp(prefix="tq-test-", suffix=".log")[1])
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                argv,
                env=environment(url, **env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, within: float = 30.0) -> None:
        """Wait until the output has `text`; fails with the output when the process ends first."""

        def seen() -> bool:
            if text in self.output():
                return True
            assert self.process.poll() is None, f"ended early:\n{self.output()[-3000:]}"
            return False

        try:
            eventually(seen, within=within)
        except AssertionError as error:
            raise AssertionError(f"no {text!r}:\n{self.output()[-3000:]}") from error

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill_tree(self) -> None:
        """SIGKILL the whole process group at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, within: float = 15.0) -> int:
        """TERM, and the exit code; kills the tree when it does not end."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill_tree()
            raise AssertionError(f"did not stop:\n{self.output()[-3000:]}") from None

    def __enter__(self):
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill_tree()
        self.log.unlink(missing_ok=True)


def celery_worker(
    url: str,
    *options: str,
    name: str = "peer@celery",
    app: str = "tests.support.celery_app",
    **env: str,
) -> Process:
    """Start a real Celery worker on `app`, and wait until it is ready."""
    argv = [sys.executable, "-m", "celery", "-A", app, "worker"]
    argv += ["-n", name, "-l", "INFO", "-E", "-c", "2", *options]
    process = Process(argv, url, **env)
    process.wait_for(" ready.")
    return process


def tq_worker(url: str, *options: str, name: str = "peer@tq", **env: str) -> Process:
    """Start a tq worker on `tests.support.tq_app`, and wait until it is ready."""
    argv = [str(BIN / "tq"), "worker", "-A", "tests.support.tq_app", "-n", name, "-l", "INFO"]
    process = Process([*argv, "-c", "2", *options], url, **env)
    process.wait_for(" ready.")
    return process
