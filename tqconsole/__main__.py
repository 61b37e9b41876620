"""The `tq` command: patches for green pools first, then runs the command line."""

import os
import select
import sys


def _patch_for_green_pools(argv: list[str]) -> None:
    """Patch before anything else is imported, as gevent and eventlet demand.

    A worker names its pool, a shell has an option for each.

    Source: celery/__init__.py, `maybe_patch_concurrency`.
    """
    pool = ""
    for here, following in zip(argv, [*argv[1:], ""], strict=True):
        if here in ("-P", "--pool"):
            pool = following
        elif here.startswith("--pool="):
            pool = here.partition("=")[2]
        elif (here.startswith("-P") and len(here) > 2) or (
            here in ("--gevent", "--eventlet") and "shell" in argv
        ):
            pool = here[2:]
    if pool == "gevent":
        import gevent.monkey  # only this pool needs it

        gevent.monkey.patch_all()
    elif pool == "eventlet":
        import eventlet  # only this pool needs it

        # Not `os`: its patched read waits where a non-blocking one must say that nothing is there,
        # and the worker reads its wake-up descriptors so.
        eventlet.monkey_patch(os=False)
        # It takes `poll` away, which the Redis connection asks whether an idle socket is healthy.
        vars(select)["poll"] = eventlet.patcher.original("select").poll


def _open_closed_streams() -> None:
    """Open what was closed (`>&-`): else a connection could get the number of stdout."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, as those below are open by now.
            descriptor = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def main() -> None:
    """Run `tq` with the process's arguments and exit with its code."""
    try:
        _main()
    except KeyboardInterrupt:  # before a command could see to it
        sys.exit(130)


def _main() -> None:
    _open_closed_streams()
    argv = sys.argv[1:]
    if "worker" in argv or "shell" in argv:
        try:
            _patch_for_green_pools(argv)
        except ImportError as exc:
            sys.stderr.write(
                f"tq: {exc.name} is not installed: pip install 'tqconsole[{exc.name}]'\n"
            )
            sys.exit(2)
    from tqconsole.cli.main import run  # after the patching

    sys.exit(run(argv))


if __name__ == "__main__":
    main()
