"""Where results rest: one interface, Redis in Celery's format, rpc, memory, none."""

from tq.backends.base import Backend, GroupRecord
from tq.backends.connect import connect

__all__ = ["Backend", "GroupRecord", "connect"]
