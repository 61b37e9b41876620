"""Runs pytest in a process that a green library has patched: `python -m tests.support.green LIB ...`."""

import sys

if __name__ == "__main__":
    library, *options = sys.argv[1:]
    if library == "gevent":
        from gevent import monkey

        monkey.patch_all()
    else:
        import eventlet

        eventlet.monkey_patch(os=False)  # as `tqconsole.__main__` does

    import pytest

    sys.exit(pytest.main(options))
