"""Exit codes.

Source: celery/bin (EX_*) for 0, 1, 2, 69 and 73; the others separate what scripts must tell apart.
"""

__all__ = [
    "CANNOT_CREATE",
    "FAILED",
    "INTERRUPTED",
    "NOTHING",
    "OK",
    "PARTIAL",
    "REFUSED",
    "TIMED_OUT",
    "UNAVAILABLE",
    "USAGE",
]

OK = 0
FAILED = 1  # a worker replied with an error, a task failed, an action failed
USAGE = 2  # a bad option, argument, filter or setting
PARTIAL = 3  # some expected workers did not reply
NOTHING = 4  # nothing matched
REFUSED = 5  # read-only, or not confirmed
UNAVAILABLE = 69  # the broker does not answer, or nobody replied at all
CANNOT_CREATE = 73  # a pid file is taken
TIMED_OUT = 124  # `tq watch`: the time was over first, as with timeout(1)
INTERRUPTED = 130
