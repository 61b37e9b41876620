"""How many jobs are worth holding in advance, from how long jobs take. Pure."""

__all__ = ["MAX_WINDOW", "Pace"]

MAX_WINDOW = 200  # beyond this a batch's fixed costs are already under 2 % of the whole
_WEIGHT = 0.3  # of the newest observation: a change of load is followed within a few batches


class Pace:
    """The average run time of recent jobs and the batch size that follows from it.

    Owned by the loop's thread.

    Attributes:
        average: Seconds per job, or None before the first one ended.
        window: Jobs that make up about `batch_seconds` of work: 1 to `MAX_WINDOW`.
    """

    __slots__ = ("_batch_seconds", "average", "window")

    def __init__(self, batch_seconds: float) -> None:
        """Start cautiously: one job at a time until something is known."""
        self._batch_seconds = batch_seconds
        self.average: float | None = None
        self.window = 1

    def observe(self, jobs: int, seconds: float) -> None:
        """Take in that `jobs` jobs took `seconds` of one slot's time altogether."""
        if jobs <= 0:
            return
        newest = max(seconds, 0.0) / jobs
        known = self.average
        self.average = newest if known is None else known + _WEIGHT * (newest - known)
        affordable = self._batch_seconds / max(self.average, 1e-9)
        self.window = max(1, min(MAX_WINDOW, int(affordable)))

    def reserve(self, slots: int, ceiling: int) -> int:
        """Return how many jobs to keep ready beyond those being run: none unless jobs are short.

        Args:
            slots: Places that would use them up.
            ceiling: Most to keep.
        """
        if self.window <= 1:
            return 0
        return min(self.window * slots, ceiling)

    def worth_having(self, wanted: int, held: int) -> int:
        """Return how many more jobs to ask for.

        While jobs are short, nothing until half of what is wanted is used up: asking for few costs
        as much as asking for many, and small requests make small batches all the way down.

        Args:
            wanted: Jobs to hold at best.
            held: Jobs that are here.
        """
        room = wanted - held
        if self.window > 1 and room * 2 < wanted:
            return 0
        return max(0, room)
