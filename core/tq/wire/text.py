"""Text that every encoder takes.

JSON can spell half a surrogate pair, and py-amqp decodes one; no other encoding can write it, so a
message with one in it could be read and then not be handed to anybody.
"""

from typing import Any

__all__ = ["without_surrogates"]


def without_surrogates(value: Any) -> Any:
    """Return a value of JSON's types with U+FFFD in place of each lone surrogate."""
    kind = type(value)
    if kind is str:
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if kind is dict:
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if kind is list:
        return [without_surrogates(item) for item in value]
    return value
