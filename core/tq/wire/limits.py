"""How much of a message is taken before it is refused.

Source: RELIABILITY 7, item 8.
"""

import msgspec

__all__ = ["LIMITS", "Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds that hold before and while bytes are decoded.

    Attributes:
        message: Bytes of an envelope, or of a body on transports without one.
        inflated: Bytes of a body after decompression.
        header_depth: Levels of nesting in an envelope and its headers.
        depth: Levels of nesting in a body. Deeper than the header's: a chain of groups nests
            chords in chords, several levels each.
    """

    message: int = 16 * 1024 * 1024
    inflated: int = 64 * 1024 * 1024
    header_depth: int = 64
    depth: int = 256


LIMITS = Limits()
