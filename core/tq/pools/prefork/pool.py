"""The parent's side: hand jobs out in batches, gather outcomes, keep the children going."""

import logging
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from tq.pools.base import (
    Accepted,
    Finished,
    Job,
    Lost,
    PoolEvent,
    PoolOptions,
    Returned,
    Runner,
    TimedOut,
)
from tq.pools.deadlines import Deadlines
from tq.pools.pace import Pace
from tq.pools.prefork.child import SOFT_SIGNAL
from tq.pools.prefork.crew import Crew
from tq.pools.prefork.handout import CLOSED, share
from tq.pools.prefork.marks import MAX_CHILDREN
from tq.pools.prefork.member import Handed, Member, signal_soft_limit
from tq.pools.prefork.pipes import Report

__all__ = ["PreforkPool"]

_IDLE_TICK = 5.0  # seconds between ticks when nothing is due
_NOTICE = 0.02  # seconds after which a start is reported, and a long job's batch looked after
_STUCK_BATCHES = 5  # a job that takes this many batches' time keeps no others waiting
_MAX_RESERVE = 500

logger = logging.getLogger(__name__)


class PreforkPool:
    """`size` child processes.

    Every job has one owner at any time: `_waiting`, or the member whose `handed` holds it. A member
    leaves the pool only through `_bury`, after everything it sent has been read; there its started
    jobs are reported and its unstarted ones go back to `_waiting`.

    All methods are called by one thread, and that thread must live as long as the pool: Linux kills
    the children when the thread that forked them ends.
    """

    def __init__(self, runner: Runner, options: PoolOptions) -> None:
        """Keep the runner and the options; children come with `start`."""
        self.size = min(options.size, MAX_CHILDREN)
        self.options = options
        self._pace = Pace(options.batch_seconds)
        self._crew = Crew(runner, options)
        self._waker = self._crew.waker
        # The crew's own list: a member that is removed there is gone here.
        self._members = self._crew.members
        self._waiting: deque[Job] = deque()
        self._handed: dict[str, Handed] = {}
        self._events: list[PoolEvent] = []
        self._deadlines = Deadlines[Handed](lambda entry: self._handed.get(entry.job.id) is entry)
        self._started = False
        self._stopping = False

    # The contract.

    def start(self) -> None:
        """Start the children; they report ready later."""
        if self._started or self._stopping:
            return
        self._started = True
        self._fill(time.monotonic())

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take jobs over; on a stopping pool they come straight back as `Returned`."""
        if self._stopping:
            self._publish([Returned(job.id) for job in jobs])
            return
        self._waiting.extend(jobs)
        self._hand_out()

    def credit(self) -> int:
        """Say how many more jobs are worth having now.

        A child that sits in one long job counts for nothing: jobs fetched for it would wait here
        while another worker may be idle.
        """
        if self._stopping:
            return 0
        free, held, staying = 0, len(self._waiting), 0
        for member in self._members:
            if member.leaving:
                continue
            staying += 1
            if not self._is_stuck(member):
                free += 1
                held += len(member.handed)
        free += max(0, self.size - staying)  # being replaced
        wanted = free * self._pace.window + self._pace.reserve(free, _MAX_RESERVE)
        return self._pace.worth_having(wanted, held)

    def fileno(self) -> int:
        """Return the descriptor of the selector over all children."""
        return self._crew.selector.fileno()

    def collect(self) -> list[PoolEvent]:
        """Return what happened since the last call, and hand out jobs to who is free now."""
        self._look(0)
        self._hand_out()
        events, self._events = self._events, []
        return events

    def tick(self, now: float) -> float:
        """Enforce limits, replace children, look after long jobs; call once per turn of the loop.

        Args:
            now: A monotonic reading.
        """
        pause = _IDLE_TICK
        for member in list(self._members):
            pause = min(pause, self._attend(member, now))
        pause = min(pause, self._enforce_limits(now))
        pause = min(pause, self._fill(now))
        self._hand_out()
        if self._events:
            self._waker.set()
        return pause

    def terminate(self, job_id: str, signal: int) -> bool:
        """Signal the child that runs the job; False when the job is not running."""
        handed = self._handed.get(job_id)
        if handed is None:
            return False
        member = handed.member
        self._note_starts(member)
        if member.row.running() != handed.sequence:
            return False
        member.terminated = (handed.sequence, signal)
        return member.process.kill(signal)

    def recall(self) -> None:
        """Give back every job that has not started, as `Returned` events.

        Those that wait here come with the next `collect`, those in children when they answer.
        """
        self._publish([Returned(job.id) for job in self._waiting])
        self._waiting.clear()
        for member in self._members:
            if member.has_unstarted():
                member.recalling = True
                member.ask_back()

    def resize(self, size: int) -> None:
        """Grow or shrink; a child too many goes after its present job."""
        self.size = max(1, min(size, MAX_CHILDREN))
        self._crew.shrink(self.size)
        self._fill(time.monotonic())

    def restart(self) -> None:
        """Replace every child after its present job."""
        self._crew.shrink(0)
        self._fill(time.monotonic())

    def info(self) -> dict[str, Any]:
        """Describe the pool for `inspect stats`."""
        options = self.options
        totals = [member.total for member in self._members]
        return {
            "implementation": f"{type(self).__module__}:{type(self).__name__}",
            "max-concurrency": self.size,
            "processes": [member.pid for member in self._members],
            "max-tasks-per-child": options.max_jobs_per_child or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": [options.soft_limit or 0, options.hard_limit or 0],
            "writes": {
                "total": sum(totals),
                "raw": ", ".join(map(str, totals)),
                "strategy": "batched",
                "inqueues": {"total": len(self._members), "active": self._busy()},
            },
        }

    def running(self) -> dict[str, int]:
        """Say which job runs in which process now, from the shared marks."""
        found: dict[str, int] = {}
        for member in self._members:
            self._note_starts(member)
            handed = member.handed.get(member.row.running())
            if handed is not None:
                found[handed.job.id] = member.pid
        return found

    def stop(self, deadline: float) -> None:
        """Let running jobs end until the monotonic `deadline`, then kill; events follow."""
        if not self._stopping:
            self._stopping = True
            self._publish([Returned(job.id) for job in self._waiting])
            self._waiting.clear()
            for member in self._members:
                member.ask_to_leave()
        self._wait_for_end(deadline)
        for member in self._members:
            member.process.kill(signal.SIGKILL)
        # A killed process is gone within milliseconds, unless the kernel holds it in a call that
        # cannot be interrupted; then waiting longer would not help either.
        self._wait_for_end(time.monotonic() + 2.0)
        for member in list(self._members):
            self._bury(member, -int(signal.SIGKILL))
        self._waker.set()

    # Reading.

    def _look(self, timeout: float) -> None:
        """Read what the children have sent, and notice those that have ended."""
        for key, mask in self._crew.selector.select(timeout):
            if key.data is None:
                self._waker.clear()
                continue
            member: Member = key.data
            if key.fileobj is not member.channel:
                self._reap(member)
                continue
            if mask & selectors.EVENT_WRITE:
                self._flush(member)
            if mask & selectors.EVENT_READ:
                for report in member.channel.receive():
                    self._take(member, report)
                if member.channel.closed:
                    self._crew.hang_up(member)

    def _take(self, member: Member, report: Report) -> None:
        """Turn a child's report into events."""
        if report.outcomes:
            self._finish(member, report)
        for sequence in report.failed:
            self._lose(member, sequence)
        if report.returned is not None:
            self._take_back(member, report.returned)
        if report.ready:
            self._crew.welcome(member)
        if report.leaving:
            logger.info("child %d is replaced: %s", member.pid, report.leaving)
            member.leaving, member.open = True, False
            self._fill(time.monotonic())

    def _finish(self, member: Member, report: Report) -> None:
        """Report finished jobs, each start before its end."""
        events, handed, held = self._events, self._handed, member.handed
        pid = member.pid
        for outcome, start in zip(report.outcomes, report.starts, strict=True):
            job_id = outcome.job_id
            entry = handed.pop(job_id, None)
            if entry is None:
                logger.error("child %d reports job %s, which it does not hold", pid, job_id)
                continue
            del held[entry.sequence]
            if not entry.accepted:
                events.append(Accepted(job_id, pid, start))
            events.append(Finished(job_id, outcome))
        self._pace.observe(len(report.outcomes), report.seconds)

    def _lose(self, member: Member, sequence: int) -> None:
        """Report a job whose run yielded nothing."""
        entry = member.handed.pop(sequence)
        del self._handed[entry.job.id]
        self._accept(entry, member.row.last_start)
        self._events.append(Lost(entry.job.id, 1))

    def _take_back(self, member: Member, sequences: list[int]) -> None:
        """Take jobs that a child had not started, for others or for the worker."""
        jobs = []
        for sequence in sorted(sequences):
            entry = member.handed.pop(sequence)
            del self._handed[entry.job.id]
            jobs.append(entry.job)
        member.asked = False
        if member.recalling or self._stopping:
            member.recalling = False
            self._events.extend(Returned(job.id) for job in jobs)
        else:
            self._waiting.extendleft(reversed(jobs))  # they came first

    # Writing.

    def _hand_out(self) -> None:
        """Give waiting jobs to the children that should have more."""
        if not self._waiting or self._stopping:
            return
        loads = [self._load(member) for member in self._members]
        for member, part in zip(
            self._members, share(len(self._waiting), loads, self._pace.window), strict=True
        ):
            if part:
                for entry in member.hand(self._waiting, part, self.options):
                    self._handed[entry.job.id] = entry
                if member.channel.blocked:
                    self._crew.watch_output(member)

    def _load(self, member: Member) -> int:
        """Return how many jobs a child holds, or `CLOSED`."""
        # While the answer to a recall is on its way, a new job could start before one given back,
        # and the marks would call that one started.
        if not member.open or member.asked or member.channel.blocked:
            return CLOSED
        held = len(member.handed)
        if held and member.row.running_for() > self.options.batch_seconds:
            return CLOSED
        return held

    def _flush(self, member: Member) -> None:
        """Send more of what a child's socket would not take."""
        member.channel.flush()
        if not member.channel.blocked:
            self._crew.watch_output(member)

    # Attending to children.

    def _attend(self, member: Member, now: float) -> float:
        """Look after one child; returns the seconds until it should be looked at again."""
        if member.process.sentinel < 0:
            self._reap(member)
        if not member.ready:
            return self._crew.check_start(member, now)
        pause = _IDLE_TICK if member.process.sentinel >= 0 else 0.5
        if not member.handed:
            return pause
        # The starts of shorter jobs are told with their ends, at less cost and to the microsecond.
        if member.row.running_for() >= self.options.batch_seconds:
            self._note_starts(member)
        return min(pause, self._relieve(member, now))

    def _relieve(self, member: Member, now: float) -> float:
        """Free what waits behind a long job; returns the seconds until the next look."""
        unstarted, unreported = member.has_unstarted(), member.has_unreported()
        if not (unstarted or unreported):
            return _IDLE_TICK if member.noted == member.row.last_started else _NOTICE
        spent = member.row.running_for()
        stuck = self.options.batch_seconds * _STUCK_BATCHES
        if unstarted and spent > stuck and not member.asked:
            member.ask_back()
        elif unreported and spent > self.options.batch_seconds:
            member.ask_flush()
        return _NOTICE

    def _is_stuck(self, member: Member) -> bool:
        """Tell whether a child has been in one job for longer than a few batches."""
        return member.row.running_for() > self.options.batch_seconds * _STUCK_BATCHES

    def _busy(self) -> int:
        """Count the children that hold jobs."""
        return sum(1 for member in self._members if member.handed)

    def _note_starts(self, member: Member) -> None:
        """Report the starts that the marks tell of."""
        started = member.row.last_started
        if started == member.noted:
            return
        member.noted = started
        start = member.row.last_start
        for sequence, entry in member.handed.items():
            if sequence > started:
                break
            self._accept(entry, start)

    def _accept(self, entry: Handed, start: float) -> None:
        """Report a job's start once, and let its limits run from then on."""
        if entry.accepted:
            return
        entry.accepted = True
        self._events.append(Accepted(entry.job.id, entry.member.pid, start))
        if entry.soft is not None or entry.hard is not None:
            began = time.monotonic() - max(0.0, time.time() - start)
            self._deadlines.add(entry, began, entry.soft, entry.hard)

    def _enforce_limits(self, now: float) -> float:
        """Act on limits that have passed; returns the seconds until the next."""
        for entry, soft in self._deadlines.passed(now):
            if soft:
                if signal_soft_limit(entry, SOFT_SIGNAL):
                    self._events.append(TimedOut(entry.job.id, soft=True, limit=entry.soft or 0.0))
            elif entry.member.row.running() == entry.sequence:
                logger.error(
                    "job %s passed its hard limit of %s s, its child %d is killed",
                    entry.job.id,
                    entry.hard,
                    entry.member.pid,
                )
                entry.member.timed_out = entry
                entry.member.open = False
                entry.member.process.kill(signal.SIGKILL)
        return self._deadlines.wait(now, _IDLE_TICK)

    # Life and death.

    def _fill(self, now: float) -> float:
        """Start missing children; returns the seconds until the next attempt."""
        if not self._started or self._stopping:
            return _IDLE_TICK
        pause = self._crew.fill(self.size, now)
        return _IDLE_TICK if pause is None else pause

    def _reap(self, member: Member) -> None:
        """Bury a child if it has ended."""
        exitcode = member.process.poll()
        if exitcode is not None and member in self._members:
            self._bury(member, exitcode)

    def _bury(self, member: Member, exitcode: int) -> None:
        """Account for everything a dead child held, and start another in its place."""
        for report in member.channel.drain():
            self._take(member, report)
        self._crew.remove(member)
        self._note_starts(member)
        self._salvage(member)
        self._disown(member, exitcode)
        member.close()
        if not (member.leaving and exitcode == 0):
            logger.log(
                logging.INFO if self._stopping else logging.WARNING,
                "child %d ended with exit code %d",
                member.pid,
                exitcode,
            )
        now = time.monotonic()
        if not member.ready and not self._stopping:
            self._crew.back_off(now)
        self._fill(now)

    def _salvage(self, member: Member) -> None:
        """Report jobs that had ended in a dead child, unsettled as far as is known.

        If the child had settled them just before its death, the worker's settlement is refused by
        the delivery's tag and changes nothing.
        """
        for outcome in member.journal.read():
            entry = self._handed.get(outcome.job_id)
            if entry is None or entry.member is not member:  # reported before
                continue
            del self._handed[outcome.job_id], member.handed[entry.sequence]
            self._accept(entry, member.row.last_start)
            self._events.append(Finished(outcome.job_id, outcome, salvaged=True))

    def _disown(self, member: Member, exitcode: int) -> None:
        """Report a dead child's started jobs; hand out the others again."""
        started = member.row.last_started
        unstarted: list[Job] = []
        for sequence, entry in member.handed.items():
            job_id = entry.job.id
            del self._handed[job_id]
            if sequence > started:
                unstarted.append(entry.job)
            elif entry is member.timed_out:
                self._events.append(TimedOut(job_id, soft=False, limit=entry.hard or 0.0))
            else:
                terminated = member.terminated
                number = terminated[1] if terminated and terminated[0] == sequence else None
                self._events.append(Lost(job_id, exitcode, number))
        member.handed.clear()
        if self._stopping or member.recalling:
            self._events.extend(Returned(job.id) for job in unstarted)
        else:
            self._waiting.extendleft(reversed(unstarted))

    def _wait_for_end(self, deadline: float) -> None:
        """Serve the children until all have ended or the monotonic `deadline` passes."""
        while self._members:
            now = time.monotonic()
            if now >= deadline:
                return
            pause = min(self.tick(now), deadline - now, 0.05)
            self._look(pause)

    def _publish(self, events: Sequence[PoolEvent]) -> None:
        """Add events of the parent's own making and make `fileno` readable."""
        if events:
            self._events.extend(events)
            self._waker.set()

    def __del__(self) -> None:
        """Close what is open."""
        if not sys.is_finalizing():
            self._crew.close()
