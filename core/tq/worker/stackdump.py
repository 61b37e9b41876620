"""Writes where every thread is, on SIGUSR1.

Source: CLI 3; celery/utils/debug.py and celery/apps/worker.py, `install_cry_handler`.
"""

import sys
import threading
import traceback

__all__ = ["dump_stacks"]


def dump_stacks() -> None:
    """Write all threads' stacks to the real stderr, whatever it was redirected to."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way
        lines.append(f"{names.get(ident, ident)}\n{'=' * 49}\n")
        lines.extend(traceback.format_stack(frame))
        lines.append("\n")
    stream = sys.__stderr__
    if stream is not None:
        stream.write("".join(lines))
        stream.flush()
