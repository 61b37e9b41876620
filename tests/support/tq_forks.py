"""`tq` without an interpreter's start for each command: every command runs in a fresh fork.

Reads one JSON line per command from stdin, `{argv, env}`, and answers with one JSON line: exit code
and output. What a command leaves in its process (settings, connections, exit handlers) ends with
its fork.
"""

import importlib
import json
import os
import sys
import tempfile

PRELOADED = (
    "tq.app",
    "tq.brokers.redis.broker",
    "tq.control",
    "tq.events",
    "tq.monitor",
    "tqconsole.cli.main",
)


def main() -> None:
    """Serve until the input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if not child:
                _become(request, out.fileno(), err.fileno())
                from tqconsole.cli.main import run

                sys.exit(run(request["argv"]))
            _, status = os.waitpid(child, 0)
            answer = {
                "code": os.waitstatus_to_exitcode(status),
                "out": _read(out),
                "err": _read(err),
            }
        print(json.dumps(answer), flush=True)


def _become(request: dict, out: int, err: int) -> None:
    """Give the fork its own input, output and environment."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])


def _read(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


if __name__ == "__main__":
    main()
