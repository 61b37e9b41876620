"""What Celery's command line has and tq's has not, on purpose, and what to use instead.

Source: CLI 1, 2. Who types one of these is told; a test compares the list with Celery's own.
"""

__all__ = ["COMMANDS", "OPTIONS", "reason_for"]

COMMANDS = {
    "amqp": "use the broker's own tools; `tq queues`, `tq purge` and `tq dead` know tq's queues",
    "flower": "`tq events` is the console; Flower itself sees tq workers: celery -b URL flower",
    "graph": "tq's workers have no boot steps; `tq workers -j` is for drawing workers",
    "logtool": "workers log JSON with worker_log_json=True; `tq failures` groups what fails",
    "upgrade": "tq reads the old names of settings as they are",
}

_CAMERA = "tq takes no snapshots by a class: use --record FILE, or -j and a program that reads it"
_FORK = "a program in the background runs the same Python: start tq from the environment you want"

# Options by command; the empty name is for those that stand before the command.
OPTIONS = {
    "": {"--loader": "tq has one loader: name modules with -A, --config and imports"},
    "beat": {"--executable": _FORK},
    "worker": {"--executable": _FORK},
    "events": dict.fromkeys(
        (
            "-c", "--camera", "--detach", "-F", "--frequency", "--freq", "-r", "--maxrate",
            "-f", "--logfile", "--pidfile", "--uid", "--gid", "--umask", "--executable",
        ),
        _CAMERA,
    ),
}  # fmt: skip


def reason_for(command: str, option: str) -> str | None:
    """Return what to say to who gives an option that was left out, or None."""
    return OPTIONS.get(command, {}).get(option)
