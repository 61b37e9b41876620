"""The address of a process for replies, made so that a crashed process's can be recognised."""

import hashlib
import os
import re
import uuid

from tq.nodename import host_name

__all__ = ["is_stale", "new_oid"]

_OID = re.compile(r"tq-([0-9a-f]{12})-([0-9]{1,10})-[0-9a-f]{12}")


def new_oid() -> str:
    """Return a new unique address: where this process runs, its id, and a random part."""
    return f"tq-{_place()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def is_stale(oid: str) -> bool:
    """Tell whether `oid` belongs to a process of this machine that is gone.

    Addresses of other machines, and other programs' addresses, are never stale.
    """
    parts = _OID.fullmatch(oid)
    if parts is None or parts[1] != _place():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _place() -> str:
    """Identify where process ids mean the same: host name and, on Linux, the pid namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.blake2s(f"{host_name()}|{namespace}".encode(), digest_size=6).hexdigest()
