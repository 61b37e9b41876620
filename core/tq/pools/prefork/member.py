"""One child as the parent sees it."""

import os
import signal
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

import msgspec

from tq import signals
from tq.pools.base import Job, PoolOptions, Runner
from tq.pools.prefork.child import FLUSH, LEAVE, RECALL, Child, ChildOptions
from tq.pools.prefork.journal import Journal
from tq.pools.prefork.marks import Row
from tq.pools.prefork.pipes import Batch, Channel, frame, write_byte
from tq.pools.prefork.process import Process, fork, spawn

__all__ = ["Handed", "Member", "signal_soft_limit", "start_member"]

_BATCH_BYTES = 262_144  # about what a socket takes at once: one frame never waits long for a child


class Handed(msgspec.Struct, eq=False):
    """A job that a child holds.

    Attributes:
        sequence: Its number among the jobs handed to that child.
        accepted: Its start has been reported.
        soft: Its soft limit in seconds, or None.
        hard: Its hard limit in seconds, or None.
    """

    job: Job
    member: "Member"
    sequence: int
    accepted: bool = False
    soft: float | None = None
    hard: float | None = None


class Member:
    """A child process, what it holds and how it is doing. Owned by the loop's thread.

    Attributes:
        handed: What it holds, by sequence number, in the order it runs them.
        ready: It has reported that it can take jobs.
        open: It may be given jobs.
        leaving: It was told to go, or said that it goes.
        start_by: Monotonic time by which it must be ready.
        noted: The last started sequence number whose start has been reported.
        asked: It owes an answer to a request to give back jobs.
        recalling: What it gives back goes to the worker, not to other children.
        watched: Its socket is in the selector.
        timed_out: The job it was killed for.
        terminated: Sequence number and signal of the last `terminate`.
    """

    def __init__(
        self,
        process: Process,
        channel: Channel,
        control: int,
        row: Row,
        journal: Journal,
        start_by: float,
    ) -> None:
        """Describe a child just started."""
        self.process = process
        self.pid = process.pid
        self.channel = channel
        self.row = row
        self.journal = journal
        self.handed: dict[int, Handed] = {}
        self.ready = False
        self.open = False
        self.leaving = False
        self.start_by = start_by
        self.noted = 0
        self.asked = False
        self.recalling = False
        self.watched = True
        self.timed_out: Handed | None = None
        self.terminated: tuple[int, int] | None = None
        self.total = 0
        self._control = control
        self._next = 1

    @property
    def control(self) -> int:
        """The parent's end of the control pipe."""
        return self._control

    def hand(self, jobs: "deque[Job]", number: int, options: PoolOptions) -> list[Handed]:
        """Move up to `number` jobs from `jobs` to the child."""
        batch: list[Job] = []
        handed: list[Handed] = []
        first = sequence = self._next
        size = 0
        soft_default, hard_default = options.soft_limit, options.hard_limit
        for _ in range(number):
            job = jobs[0]
            size += len(job.payload)
            if size > _BATCH_BYTES and batch:
                break
            jobs.popleft()
            soft, hard = job.soft_limit, job.hard_limit
            entry = Handed(
                job,
                self,
                sequence,
                False,
                soft_default if soft is None else soft,
                hard_default if hard is None else hard,
            )
            self.handed[sequence] = entry
            sequence += 1
            batch.append(job)
            handed.append(entry)
        self._next = sequence
        self.total += len(batch)
        self.channel.send(frame(Batch(first, batch)))
        return handed

    def ask_flush(self) -> None:
        """Ask for the outcomes of ended jobs."""
        write_byte(self._control, FLUSH)

    def ask_back(self) -> None:
        """Ask for the unstarted jobs."""
        self.asked = True
        write_byte(self._control, RECALL)

    def ask_to_leave(self) -> None:
        """Tell the child to go after its present job."""
        self.leaving = True
        self.open = False
        write_byte(self._control, LEAVE)

    def has_unstarted(self) -> bool:
        """Tell whether the child holds jobs that it has not started."""
        return bool(self.handed) and next(reversed(self.handed)) > self.row.last_started

    def has_unreported(self) -> bool:
        """Tell whether the child has ended jobs without reporting them yet."""
        return bool(self.handed) and next(iter(self.handed)) <= self.row.last_done

    def close(self) -> None:
        """Close the connections."""
        self.channel.close()
        self.process.close()
        self.journal.close()
        if self._control >= 0:
            os.close(self._control)
            self._control = -1


def start_member(
    runner: Runner,
    options: PoolOptions,
    row: Row,
    marks_fd: int,
    inherited: Sequence[int],
    now: float,
) -> Member:
    """Start a child process.

    Args:
        runner: Goes to the child.
        options: The pool's.
        row: The child's marks; its index is the slot.
        marks_fd: The file behind the marks, for `spawn`; else -1.
        inherited: The parent's descriptors that a fork must close.
        now: A monotonic reading.

    Raises:
        OSError: The system refuses a process or a descriptor.
        ConfigError: The runner does not go with `spawn`.
    """
    row.clear()
    signals.worker_before_create_process.send(sender=start_member)
    child_options = ChildOptions(
        os.getpid(),
        row.index,
        options.soft_limit,
        options.max_jobs_per_child,
        options.max_memory_kib,
    )
    spawning = options.start_method == "spawn"
    with ExitStack() as undo, ExitStack() as passed:
        mine, its = socket.socketpair()
        undo.callback(mine.close)
        passed.callback(its.close)
        reads, writes = os.pipe()
        undo.callback(os.close, writes)
        passed.callback(os.close, reads)
        os.set_blocking(writes, False)
        if spawning:
            journal_fd = Journal.open_shared()
            passed.callback(os.close, journal_fd)
            journal = Journal(journal_fd)
            process = spawn(runner, child_options, mine, its, reads, marks_fd, journal_fd)
        else:
            journal = Journal()
            child = Child(runner, child_options, its, reads, row, journal)
            process = fork(child.serve, [mine.fileno(), writes, *inherited])
        undo.pop_all()
    return Member(process, Channel(mine), writes, row, journal, now + options.start_timeout)


def signal_soft_limit(handed: Handed, number: signal.Signals) -> bool:
    """Interrupt a job; False when it is not running any more."""
    row = handed.member.row
    if row.running() != handed.sequence:
        return False
    row.mark_soft(handed.sequence)
    return handed.member.process.kill(number)
