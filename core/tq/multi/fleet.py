"""What is done to many nodes at once.

Source: CLI 2 (multi); celery/apps/multi.py, `Cluster`.
"""

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from tq.multi.nodes import Node

__all__ = ["Fleet", "Outcome"]

_AT_ONCE = 8  # processes that start at the same time: more would only wait for each other
_POLL = 0.05
_REMIND_SECONDS = 5.0

Say = Callable[[str], None]


class Outcome(msgspec.Struct):
    """What became of one node.

    Attributes:
        ok: Whether it is as was wished.
        text: For people; the first line is short.
    """

    node: Node
    ok: bool
    text: str


class Fleet:
    """Nodes, and the verbs that act on them."""

    def __init__(
        self, nodes: Sequence[Node], say: Say = lambda text: None, show: bool = False
    ) -> None:
        """Take the nodes.

        Args:
            nodes: In the order they are spoken of.
            say: Called with a line of progress.
            show: Say each command before it is run.
        """
        self.nodes = list(nodes)
        self._say = say
        self._show = show

    def start(self) -> list[Outcome]:
        """Start the nodes that do not run, several at the same time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = []
            for outcome in pool.map(self._start, self.nodes):
                self._tell(outcome)
                found.append(outcome)
            return found

    def _start(self, node: Node) -> Outcome:
        pid = node.pid()
        if pid:
            return Outcome(node, False, f"already runs as process {pid}")
        stale = node.is_stale()
        if self._show:
            self._say(node.shell)
        ok, text = node.start()
        if not ok:
            return Outcome(node, False, text)
        left = f"; {node.pidfile} was left behind by a process that is gone" if stale else ""
        note = f" ({text})" if text else ""
        return Outcome(node, True, f"OK, process {node.pid()}{left}{note}")

    def send(self, number: int) -> list[Outcome]:
        """Send a signal to the nodes that run."""
        found = []
        for node in self.nodes:
            stale = node.is_stale()
            pid = node.signal(number)
            if pid:
                outcome = Outcome(node, True, f"{signal.Signals(number).name} -> {pid}")
            elif stale:
                node.clear()
                outcome = Outcome(
                    node, True, f"is down; removed {node.pidfile}, left by a process that is gone"
                )
            else:
                outcome = Outcome(node, True, "is down")
            self._tell(outcome)
            found.append(outcome)
        return found

    def stop_and_wait(self, number: int) -> list[Outcome]:
        """Send a signal, and wait until all nodes have ended, however long their tasks take."""
        found = self.send(number)
        self.wait()
        return found

    def kill(self) -> list[Outcome]:
        """End the nodes at once; their tasks are redelivered."""
        found = self.send(signal.SIGKILL)
        self.wait()
        for node in self.nodes:
            node.clear()
        return found

    def restart(self, number: int) -> list[Outcome]:
        """Stop, wait and start: all nodes that were named, running or not."""
        self.stop_and_wait(number)
        return self.start()

    def wait(self) -> None:
        """Wait until no node runs."""
        remind_at = time.monotonic() + _REMIND_SECONDS
        while left := [(node, pid) for node in self.nodes if (pid := node.pid())]:
            if time.monotonic() >= remind_at:
                names = ", ".join(f"{node.name} ({pid})" for node, pid in left)
                self._say(f"waiting for {len(left)} of {len(self.nodes)}: {names}")
                remind_at = time.monotonic() + _REMIND_SECONDS
            time.sleep(_POLL)

    def _tell(self, outcome: Outcome) -> None:
        self._say(f"\t> {outcome.node.name}: {outcome.text}")
