"""What signatures are made of: ids, call options, and the properties that show them.

Source: API.md, Signature; celery/canvas.py, `Signature` (which options are fixed once frozen).
"""

import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

__all__ = [
    "FIXED_OPTIONS",
    "as_list",
    "copy_options",
    "given_options",
    "item_property",
    "new_id",
    "option_property",
]

# What a signature was frozen with must not change when it is called: a chord would wait for ever.
FIXED_OPTIONS = frozenset({"group_id", "stamped_headers"})


def new_id() -> str:
    """Return a new uuid4 as text."""
    return str(UUID(bytes=os.urandom(16), version=4))


def as_list(value: Any) -> list[Any]:
    """Return a list option as a list: None is empty, a single value is a list of one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def copy_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy execution options so that linking or stamping the copy leaves the original alone.

    The body (`chord`) and the steps (`chain`) are shared: nothing changes them in place, and every
    part of a header refers to the same body.
    """
    copied = dict(options)
    for key, value in copied.items():
        if key in ("link", "link_error"):
            copied[key] = [_copy_link(link) for link in as_list(value)]
        elif type(value) is list and key != "chain":
            copied[key] = list(value)
    return copied


def _copy_link(link: Any) -> Any:
    """Copy a signature, or the dictionary of one."""
    clone = getattr(link, "clone", None)
    if clone is not None:
        return clone()
    if isinstance(link, dict) and isinstance(link.get("options"), dict):
        return {**link, "options": copy_options(link["options"])}
    return link


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out options that are None: not given."""
    return {key: value for key, value in options.items() if value is not None}


def item_property(key: str, doc: str) -> Any:
    """Return a property that reads and writes an item of a signature."""

    def read(self: Any) -> Any:
        return self[key]

    def write(self: Any, value: Any) -> None:
        self[key] = value

    return property(read, write, doc=doc)


def option_property(key: str, doc: str) -> Any:
    """Return a property that reads and writes an option of a signature, None when unset."""

    def read(self: Any) -> Any:
        return self["options"].get(key)

    def write(self: Any, value: Any) -> None:
        self["options"][key] = value

    return property(read, write, doc=doc)
