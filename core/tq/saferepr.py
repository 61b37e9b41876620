"""Text of any value, bounded in length, and text that is safe to show.

Source: celery/utils/saferepr.py, `saferepr` (same limits, same look of what is left out).
"""

import re
from typing import Any

__all__ = ["safe_text", "saferepr"]

_FLAT = frozenset({int, float, bool, str, type(None)})
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
# A flat value of more items than this goes to the bounded walk: its repr may be long.
_FAST_ITEMS = 16

# C0, DEL and C1; soft hyphen, Arabic mark, Mongolian separator; zero-width characters, marks of
# direction, line and paragraph separators, overrides and isolates, invisible operators; surrogates;
# byte order mark, interlinear marks; tags.
_UNSAFE_RANGES = (
    "\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSAFE_LINE = re.compile(f"[\x00-\x1f{_UNSAFE_RANGES}]")
_UNSAFE_BLOCK = re.compile(f"[\x00-\x08\x0b-\x1f{_UNSAFE_RANGES}]")


def saferepr(obj: Any, maxlen: int = 1024, maxlevels: int = 3) -> str:
    """Return a `repr` that stays short, never recurses without end and never raises.

    Args:
        obj: Any value.
        maxlen: Most characters, but for the closing brackets and a trailing `...`.
        maxlevels: Containers nested deeper are shown as `[...]`.
    """
    fast = _flat_repr(obj)
    if fast is not None and len(fast) <= maxlen:
        return fast
    out = _Writer(maxlen)
    _write(obj, out, maxlevels, set())
    return "".join(out.parts)


def _flat_repr(obj: Any) -> str | None:
    """Return the plain `repr` of a small flat value, or None when it needs the bounded walk."""
    kind = type(obj)
    if kind is tuple or kind is list:
        items = obj
    elif kind is dict:
        items = obj.values()
        if len(obj) > _FAST_ITEMS or not _FLAT.issuperset(map(type, obj)):
            return None
    elif kind in _FLAT:
        items = (obj,)
    else:
        return None
    if len(items) > _FAST_ITEMS:
        return None
    kinds = set(map(type, items))
    if not _FLAT.issuperset(kinds):
        return None
    if str in kinds and any(len(item) > 256 for item in items if type(item) is str):
        return None
    try:
        return repr(obj)
    except ValueError:  # an int over the interpreter's digit limit
        return None


class _Writer:
    """Text parts with a budget of characters."""

    __slots__ = ("left", "parts")

    def __init__(self, budget: int) -> None:
        self.parts: list[str] = []
        self.left = budget

    def add(self, text: str) -> None:
        """Write `text`, cut to what the budget leaves."""
        if len(text) > self.left:
            text = text[: max(self.left - 3, 0)] + "..."
        self.parts.append(text)
        self.left -= len(text)

    def close(self, text: str) -> None:
        """Write a closing bracket, which is never left out."""
        self.parts.append(text)
        self.left -= len(text)


def _write(obj: Any, out: _Writer, levels: int, seen: set[int]) -> None:
    """Write one value; `seen` holds the ids of the containers it lies in."""
    brackets = _BRACKETS.get(type(obj))
    if brackets is None:
        out.add(_atom(obj, out.left))
        return
    start, end = brackets
    if not obj:
        out.add(repr(obj))
    elif id(obj) in seen:
        out.add(f"<Recursion on {type(obj).__name__}>")
    elif levels <= 0:
        out.add(f"{start}...{end}")
    else:
        seen.add(id(obj))
        out.add(start)
        _write_items(obj, out, levels - 1, seen)
        out.close(",)" if type(obj) is tuple and len(obj) == 1 else end)
        seen.discard(id(obj))


def _write_items(obj: Any, out: _Writer, levels: int, seen: set[int]) -> None:
    """Write a container's items until the budget is spent."""
    is_dict = type(obj) is dict
    first = True
    # Tasks run in threads too: iterate over a copy, a value may change meanwhile.
    for item in list(obj.items() if is_dict else obj):
        if out.left <= 0:
            out.parts.append("..." if first else ", ...")
            return
        if not first:
            out.add(", ")
        first = False
        if is_dict:
            _write(item[0], out, levels, seen)
            out.add(": ")
            _write(item[1], out, levels, seen)
        else:
            _write(item, out, levels, seen)


def _atom(obj: Any, left: int) -> str:
    """Return the text of a value that is no plain container."""
    if isinstance(obj, str | bytes) and len(obj) > left:
        kept = repr(obj[: max(left - 5, 1)])
        return f"{kept[:-1]}...{kept[-1]}"
    try:
        return repr(obj)
    except Exception as exc:  # a user's __repr__ may raise anything; it is only for display
        return f"<Unrepresentable {type(obj).__name__}: {type(exc).__name__}>"


def safe_text(text: Any, maxlen: int | None = None, single_line: bool = True) -> str:
    r"""Make text harmless for a terminal: what cannot be seen is shown as `\x..` or `\u....`.

    Args:
        text: What to show; anything that is no text is shown by its bounded repr.
        maxlen: Most characters of the answer; a cut ends in `…`.
        single_line: Escape newlines and tabs as well.

    Source: RELIABILITY 7, item 5.
    """
    shown = text if isinstance(text, str) else saferepr(text)
    cut = maxlen is not None and len(shown) > maxlen
    if cut:
        shown = shown[:maxlen]
    if not (shown.isascii() and shown.isprintable()):
        shown = (_UNSAFE_LINE if single_line else _UNSAFE_BLOCK).sub(_escape, shown)
    if maxlen is not None and (cut or len(shown) > maxlen):
        shown = shown[: max(maxlen - 1, 0)] + "…"[:maxlen]
    return shown


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
