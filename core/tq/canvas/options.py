"""What signatures are made of: ids, call options, and the properties that show them.

Source: API.md, Signature; celery/canvas.py, `Signature` (which options are fixed once frozen).
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "FIXED_OPTIONS",
    "as_list",
    "copy_options",
    "given_options",
    "ignores_result",
    "item_property",
    "option_property",
]

# What a signature was frozen with must not change when it is called: a chord would wait for ever.
FIXED_OPTIONS = frozenset({"group_id", "stamped_headers"})


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


def ignores_result(options: Mapping[str, Any], task: Any) -> bool:
    """Tell whether a call stores no result: by its own options, else by its task's."""
    given = options.get("ignore_result")
    return bool(getattr(task, "ignore_result", False) if given is None else given)


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
