"""The child's side: run jobs, settle and report outcomes in batches, give back on request."""

import ctypes
import gc
import logging
import os
import pickle
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from types import FrameType

import msgspec

from tq.errors import SoftTimeLimitExceeded
from tq.pools.base import Job, Outcome, Runner
from tq.pools.prefork.journal import Journal
from tq.pools.prefork.marks import Marks, Row
from tq.pools.prefork.pipes import Batch, FrameReader, Report, frame

__all__ = ["FLUSH", "LEAVE", "RECALL", "SOFT_SIGNAL", "Child", "ChildOptions", "spawned"]

FLUSH, RECALL, LEAVE = b"F", b"R", b"L"  # what the parent writes into the control pipe
SOFT_SIGNAL = signal.SIGUSR1
FLUSH_JOBS = 100
FLUSH_SECONDS = 0.01
_READ_BYTES = 262_144
_MEMORY_LOOK = 0.1  # seconds between two looks at the resident size
_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


class ChildOptions(msgspec.Struct, frozen=True):
    """What a child must know; the fields are those of `PoolOptions`.

    Attributes:
        parent: The parent's process id.
        slot: The number given to the runner.
    """

    parent: int
    slot: int
    soft_limit: float | None
    max_jobs: int | None
    max_memory_kib: int | None


class Child:
    """A child's whole life; `serve` is its main function.

    The main thread runs jobs. A control thread sleeps in a read of the control pipe, so it costs
    nothing until the parent, which sees in shared memory that the main thread is inside a long
    job, asks it to send finished outcomes or to give back unstarted jobs. Lists and deques are
    shared by the two through operations that the interpreter makes atomic; `_writing` is held while
    outcomes are settled and sent, `_reading` while the socket is read.
    """

    def __init__(
        self,
        runner: Runner,
        options: ChildOptions,
        connection: socket.socket,
        control: int,
        row: Row,
        journal: Journal,
    ) -> None:
        """Keep the ends of the connections; nothing happens before `serve`."""
        self._runner = runner
        self._options = options
        self._socket = connection
        self._control = control
        self._row = row
        self._journal = journal
        self._frames = FrameReader()
        self._decoder = msgspec.msgpack.Decoder(Batch)
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._jobs: deque[tuple[int, Job]] = deque()
        self._outcomes: list[Outcome] = []
        self._starts: list[float] = []
        self._failed: list[int] = []
        self._last_end = 0.0
        self._current = 0
        self._limit: float | None = None
        self._leave = False
        self._ran = 0
        self._memory_limit = 0
        self._memory_looked = 0.0

    def serve(self) -> int:
        """Run jobs until told to leave or until the parent is gone; returns the exit code."""
        self._take_signals()
        self._die_with_parent()
        gc.freeze()  # keeps the collector from touching, and so copying, the parent's pages
        threading.Thread(target=self._attend, name="control", daemon=True).start()
        try:
            self._runner.setup(self._options.slot)
        except BaseException:
            logger.exception("the runner's setup failed in child %d", os.getpid())
            return 1
        self._set_memory_limit()
        self._send(Report(ready=True))
        self._run_all()
        try:
            self._runner.teardown(self._options.slot)
        except Exception:
            logger.exception("the runner's teardown failed in child %d", os.getpid())
        return 0

    # Main thread.

    def _run_all(self) -> None:
        """Take batches and run them until it is time to leave."""
        while not self._leave:
            if self._jobs:
                self._run_local()
            reason = self._worn_out()
            self._report(reason)
            if reason or self._leave:
                return
            if not self._jobs and not self._wait():
                return

    def _run_local(self) -> None:
        """Run the jobs at hand.

        Measured at about 1.5 us a job beside the runner's own time, so it stays one function.
        """
        jobs, run, clock = self._jobs, self._runner.run, time.time
        integers, floats = self._row.integers, self._row.floats
        started, started_at, done = self._row.started, self._row.started_at, self._row.done
        left, note = self._left(), self._journal.add
        now = clock()
        flush_at = now + FLUSH_SECONDS
        while left and not self._leave:
            try:
                sequence, job = jobs.popleft()
            except IndexError:  # all run, or given back meanwhile
                return
            floats[started_at] = now
            integers[started] = sequence
            outcome = None
            self._limit = job.soft_limit
            try:
                self._current = sequence
                outcome = run(job)
                self._current = 0
                if outcome.job_id != job.id:
                    self._refuse(job, outcome)
                    outcome = None
            except BaseException as error:
                self._current = 0
                self._report_breach(job, error)
            integers[done] = sequence
            noted = True
            if outcome is None:
                self._failed.append(sequence)
            else:
                noted = note(outcome)
                self._outcomes.append(outcome)
                self._starts.append(
                    now
                )  # last: the control thread takes as many as there are starts
            left -= 1
            self._ran += 1
            self._last_end = now = clock()
            if now >= flush_at or not noted or len(self._starts) >= FLUSH_JOBS:
                self._report()
                now = clock()
                flush_at = now + FLUSH_SECONDS

    def _report(self, leaving: str = "") -> None:
        """Report everything; then the journal holds nothing that matters."""
        self._flush(leaving)
        # Only here: the control thread may flush while this thread adds an entry.
        self._journal.clear()

    def _left(self) -> int:
        """Return how many jobs this child may run before it is replaced."""
        most = self._options.max_jobs
        return sys.maxsize if most is None else most - self._ran

    def _report_breach(self, job: Job, error: BaseException) -> None:
        """Log that the runner raised, which it promises not to."""
        # A soft limit can strike between the job's last line and the return of the runner; then
        # there may be an outcome, and if not the job counts as lost.
        if isinstance(error, SoftTimeLimitExceeded):
            logger.warning("the soft limit of job %s passed just as the job ended", job.id)
            return
        logger.error("the runner raised for job %s, which counts as lost", job.id, exc_info=error)

    def _refuse(self, job: Job, outcome: Outcome) -> None:
        """Log an outcome that is not the job's."""
        logger.error("the runner answered job %s with the outcome of %s", job.id, outcome.job_id)

    def _wait(self) -> bool:
        """Block until the parent sends jobs; False when it will not send any more."""
        with self._reading:
            if self._jobs or self._leave:  # read by the control thread
                return not self._leave
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError:
                return False
            self._take(data)
            return bool(data) and not self._leave

    def _worn_out(self) -> str:
        """Return why this child should be replaced, or an empty string."""
        options = self._options
        if options.max_jobs is not None and self._ran >= options.max_jobs:
            return f"{self._ran} jobs run"
        if options.max_memory_kib is None or not self._ran:
            return ""
        now = time.monotonic()
        if now - self._memory_looked < _MEMORY_LOOK and self._jobs:
            return ""
        self._memory_looked = now
        resident = _resident_kib()
        return f"{resident} KiB resident" if resident > self._memory_limit else ""

    def _set_memory_limit(self) -> None:
        """Find the size to leave at: a child that starts above the limit must have grown."""
        limit = self._options.max_memory_kib
        if limit is None:
            return
        baseline = _resident_kib()
        self._memory_limit = max(limit, baseline + baseline // 4)
        if baseline >= limit:
            logger.warning(
                "a child holds %d KiB before its first job, more than max_memory_kib=%d; "
                "it will be replaced at %d KiB instead",
                baseline,
                limit,
                self._memory_limit,
            )

    # Either thread.

    def _take(self, data: bytes) -> None:
        """Decode batches and put their jobs into line; the caller holds `_reading`."""
        for part in self._frames.feed(data):
            batch = self._decoder.decode(part)
            self._jobs.extend(enumerate(batch.jobs, batch.first))

    def _flush(self, leaving: str = "", returned: list[int] | None = None) -> None:
        """Settle and report what has ended."""
        with self._writing:
            number = len(self._starts)
            failed = len(self._failed)
            if not (number or failed or leaving or returned is not None):
                return
            report = Report(leaving=leaving, returned=returned)
            if failed:
                report.failed = self._failed[:failed]
                del self._failed[:failed]
            if number:
                outcomes, starts = self._outcomes[:number], self._starts[:number]
                del self._outcomes[:number], self._starts[:number]
                report.seconds = max(0.0, self._last_end - starts[0])
                report.outcomes, report.starts = self._settle(outcomes), starts
            self._write(report)

    def _settle(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Have the runner settle; what it cannot settle is left to the worker."""
        try:
            settled = self._runner.settle(outcomes)
        except Exception:
            logger.exception("settling %d jobs failed; the worker takes them over", len(outcomes))
            return outcomes
        if len(settled) == len(outcomes):
            return settled
        by_id = {outcome.job_id: outcome for outcome in settled}
        logger.error("the runner settled %d jobs of %d", len(settled), len(outcomes))
        return [by_id.get(outcome.job_id, outcome) for outcome in outcomes]

    def _send(self, report: Report) -> None:
        """Send a report of its own."""
        with self._writing:
            self._write(report)

    def _write(self, report: Report) -> None:
        """Send a report; the caller holds `_writing`."""
        try:
            self._socket.sendall(frame(report))
        except OSError:  # the parent is gone, and its jobs are somebody else's by now
            self._leave = True

    # Control thread.

    def _attend(self) -> None:
        """Obey the control pipe."""
        # A signal must interrupt the main thread's blocking call, not this thread's.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            orders = os.read(self._control, 64)
            if not orders:  # the parent is gone: no task may run unowned
                os._exit(1)
            try:
                self._obey(orders)
            except Exception:
                logger.exception("child %d could not obey its parent", os.getpid())

    def _obey(self, orders: bytes) -> None:
        """Carry out what was asked since the last look."""
        if LEAVE in orders:
            self._leave = True
            # Wakes the main thread if it waits for jobs. What the socket still holds has not been
            # started, which the parent sees in the marks.
            self._socket.shutdown(socket.SHUT_RD)
        if RECALL in orders:
            self._flush(returned=self._give_back())
        elif FLUSH in orders:
            self._flush()

    def _give_back(self) -> list[int]:
        """Take the unstarted jobs out of line; returns their sequence numbers."""
        if self._reading.acquire(blocking=False):  # else the main thread waits, and holds no job
            try:
                self._read_available()
            finally:
                self._reading.release()
        returned: list[int] = []
        while True:
            try:
                returned.append(self._jobs.pop()[0])
            except IndexError:
                return returned

    def _read_available(self) -> None:
        """Read the batches that have arrived."""
        while not self._leave:
            try:
                data = self._socket.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            except OSError:  # nothing more now; the end of the stream is the main thread's to see
                return
            if not data:
                return
            self._take(data)

    # Start.

    def _take_signals(self) -> None:
        """Leave the parent's handlers behind; the fork was made with all signals blocked."""
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to interpret
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(SOFT_SIGNAL, self._on_soft_limit)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _on_soft_limit(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread, if it still runs the job that the signal was meant for."""
        current = self._current
        if current and self._row.integers[self._row.soft] == current:
            limit = self._options.soft_limit if self._limit is None else self._limit
            raise SoftTimeLimitExceeded(limit)

    def _die_with_parent(self) -> None:
        """Have the kernel kill this process when its parent ends; elsewhere the pipe tells."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != self._options.parent:  # it ended before the request was made
            os._exit(1)


def _resident_kib() -> int:
    """Return the resident size of this process."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() // 1024
    except OSError:  # no /proc: the peak, in bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def spawned(connection_fd: int, control: int, marks_fd: int, journal_fd: int) -> int:
    """Be a child that is not a fork: the runner comes pickled in the first frame.

    Called by the command line that `process.spawn` makes; the pickle comes from the parent that
    started this process.
    """
    connection = socket.socket(fileno=connection_fd)
    size = int.from_bytes(_read_exactly(connection, 4), "little")
    runner, options = pickle.loads(_read_exactly(connection, size))
    row = Marks(marks_fd).row(options.slot)
    child = Child(runner, options, connection, control, row, Journal(journal_fd))
    return child.serve()


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    """Read `size` bytes."""
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            os._exit(1)
        data += part
    return bytes(data)
