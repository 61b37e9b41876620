"""The terminal is given back however the console ends."""

import fcntl
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import time
from array import array
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)

PROGRAM = """
import sys
from tests.console.synthetic import demo_cluster
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.terminal import run_console

source = demo_cluster(20)
if "crash" in sys.argv:
    calls = []
    drain = source.drain
    def fail(now):
        calls.append(now)
        if len(calls) > 3:
            raise RuntimeError("the source broke")
        return drain(now)
    source.drain = fail
if "busy" in sys.argv:
    import random, time
    from tests.console.synthetic import NAMES, OUTCOMES, WORKERS
    chance, begun, sent = random.Random(7), time.time(), [0]
    take = source.drain
    def arrive(now):
        source.clock.now = now
        # a task is four events; a machine too slow for these is fed what it can take
        for _ in range(min(2_000, int((now - begun) * 1_250) - sent[0])):
            sent[0] += 1
            name, queue, runtime = chance.choice(NAMES)
            source.task(f"busy-{sent[0]}", name, queue=queue, runtime=runtime,
                        worker=chance.choice(WORKERS)[0], outcome=chance.choice(OUTCOMES))
        return take(now)
    source.drain = arrive
    source.clock.now = begun
code = run_console(source, ConsoleConfig())
sys.exit(code)
"""
ENTERED = b"\x1b[?1049h"
LEFT = b"\x1b[?1049l"
CURSOR_SHOWN = b"\x1b[?25h"
MOUSE_OFF = b"\x1b[?1000l"


class Terminal:
    """A console in a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.main, self.side = pty.openpty()
        termios.tcsetwinsize(self.main, (24, 80))
        self.before = termios.tcgetattr(self.side)
        self.output = b""
        root = Path(__file__).parents[2]
        env = {
            **os.environ,
            "XDG_STATE_HOME": str(folder),
            "TERM": "xterm-256color",
            "PYTHONPATH": os.pathsep.join((str(root), str(root / "core"))),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=self.side,
            stdout=self.side,
            stderr=self.side,
            env=env,
            cwd=root,
            start_new_session=True,
        )

    def read_until(self, wanted: bytes, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-2000:]
            assert self.read() or self.process.poll() is None, self.output[-2000:]

    def read(self) -> bool:
        ready, _, _ = select.select([self.main], [], [], 0.2)
        if not ready:
            return False
        self.output += os.read(self.main, 65536)
        return True

    def ended(self, within: float = 60.0) -> int:
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it did not end"
            self.read()
        while self.read():
            pass
        return self.process.returncode

    def press(self, keys: bytes) -> None:
        """Type, and take in what is drawn meanwhile, so that neither side waits for the other."""
        os.write(self.main, keys)
        if select.select([self.main], [], [], 0.02)[0]:
            self.output += os.read(self.main, 1 << 20)

    def read_all_keys(self, within: float = 60.0) -> None:
        """Wait until the console has taken in all that was typed."""
        deadline = time.monotonic() + within
        left = array("i", [1])
        while left[0]:
            assert time.monotonic() < deadline, "keys were left"
            assert self.process.poll() is None, self.output[-3000:]
            self.read()
            fcntl.ioctl(self.side, termios.FIONREAD, left)

    def resize(self, width: int, height: int) -> None:
        """Change the size, as a terminal does."""
        termios.tcsetwinsize(self.main, (height, width))
        self.process.send_signal(signal.SIGWINCH)

    def restored(self) -> bool:
        """Whether the screen, the cursor, the mouse and the line discipline are as before."""
        left = self.output.rfind(LEFT)
        return (
            left > self.output.rfind(ENTERED)
            and CURSOR_SHOWN in self.output[self.output.rfind(ENTERED) :]
            and MOUSE_OFF in self.output
            and termios.tcgetattr(self.side)[:4] == self.before[:4]
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.main)
        os.close(self.side)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.read_until(b"LIVE")
        assert not terminal.restored()
        terminal.process.send_signal(number)
        assert terminal.ended() == 128 + number
        assert terminal.restored()
    finally:
        terminal.close()


@pytest.mark.parametrize("what", ["quiet", "busy"])
def test_a_terminal_that_goes_away_without_a_signal_ends_the_console(
    tmp_path: Path, what: str
) -> None:
    terminal = Terminal(tmp_path, what)
    try:
        terminal.read_until(b"LIVE")
        os.close(terminal.main)
        assert terminal.process.wait(60) == 128 + signal.SIGHUP
        assert not list((tmp_path / "tq").glob("crash-*.txt"))
    finally:
        terminal.main = os.open(os.devnull, os.O_RDONLY)
        terminal.close()


def test_control_c_quits_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.read_until(b"LIVE")
        os.write(terminal.main, b"\x03")
        assert terminal.ended() == 0
        assert terminal.restored()
    finally:
        terminal.close()


def test_a_crash_is_one_line_and_a_file_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "crash")
    try:
        assert terminal.ended() == 1
        assert terminal.restored()
        said = terminal.output[terminal.output.rfind(LEFT) :]
        assert b"the source broke" in said
        assert b"Traceback" not in said
        (crash,) = (tmp_path / "tq").glob("crash-*.txt")
        assert "the source broke" in crash.read_text()
    finally:
        terminal.close()


# All but those that leave (q, ctrl+c) or write files (e, ctrl+s).
KEYS = (
    *(b"%c" % code for code in b"jkgGfpswzirthucbnNxyVCXLRMHPIK+_-[]/:?.*\\ 0123456789\t\r"),
    b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[5~", b"\x1b[6~", b"\x1b[H", b"\x1b[F",
    b"\x04", b"\x15", b"\x10", b"\x12", b"\x14", b"\x1b", b"\x1b[<64;9;9M", b"\x1b[<0;9;5M",
)  # fmt: skip
SIZES = ((80, 24), (40, 10), (160, 48), (23, 7), (300, 100))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_keys_and_sizes_under_thousands_of_events_a_second(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    terminal = Terminal(tmp_path, "busy")
    try:
        terminal.read_until(b"LIVE")
        for step in range(120):
            if step % 12 == 0:
                terminal.resize(*chance.choice(SIZES))
            terminal.press(chance.choice(KEYS))
        terminal.read_all_keys()
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ended() == 128 + signal.SIGTERM
        assert terminal.restored()
        # On the screen there may be one: a task's, on the page that a key opened.
        assert b"Traceback" not in terminal.output[terminal.output.rfind(LEFT) :]
        assert not list((tmp_path / "tq").glob("crash-*.txt"))
    finally:
        terminal.close()
