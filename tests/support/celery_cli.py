"""Celery's command line without a process start for each command.

Reads one JSON list of arguments per line and answers with one JSON line: exit code and output. The
commands are Celery's own click commands, started as `celery` starts them.
"""

import json
import sys

from celery.bin.celery import celery
from click.testing import CliRunner


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        done = CliRunner().invoke(celery, json.loads(line))
        error = "" if done.exception is None else repr(done.exception)
        answer = {"code": done.exit_code, "out": done.output, "error": error}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
