"""Stamps: headers that mark every task of a canvas, set by a visitor or by name.

Source: API.md, StampingVisitor; celery/canvas.py, `Signature.stamp`, `_stamp_headers`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from tq.canvas.options import as_list

__all__ = [
    "Stampable",
    "StampingVisitor",
    "stamp_chord",
    "stamp_links",
    "stamp_members",
    "stamp_signature",
]


class Stampable(Protocol):
    """What stamping asks of a signature."""

    options: Any

    def set(self, **options: Any) -> Any:
        """Set options in place."""

    def links(self, key: str) -> Iterable["Stampable"]:
        """Return callbacks (`link`) or errbacks (`link_error`), so that they may be stamped."""

    def stamp(self, visitor: Any, append_stamps: bool, **headers: Any) -> Any:
        """Put stamps on it, on its parts and on its links."""


Stamped = TypeVar("Stamped", bound=Stampable)


class StampingVisitor:
    """Says which stamps each signature gets; override what is needed.

    Each `on_..._start` and `on_signature` returns stamp name -> value; with a key
    `stamped_headers` only the names listed there are stamps.
    """

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """Return the stamps of one task.

        Raises:
            NotImplementedError: Every visitor must say.
        """
        raise NotImplementedError(f"{type(self).__name__} needs on_signature")

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        """Return stamps for all members of a group."""
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """Notice that all members of a group were stamped."""

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any]:
        """Return stamps for all steps of a chain."""
        return {}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        """Notice that all steps of a chain were stamped."""

    def on_chord_header_start(self, sig: Any, **header: Any) -> dict[str, Any]:
        """Return stamps for all parts of a chord's header: those of a group, by default."""
        return self.on_group_start(sig.header, **header)

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """Notice that all parts of a chord's header were stamped."""
        self.on_group_end(sig.header, **header)

    def on_chord_body(self, sig: Any, **header: Any) -> dict[str, Any]:
        """Return stamps for a chord's body."""
        return {}

    def on_callback(self, callback: Any, **header: Any) -> dict[str, Any]:
        """Return stamps for a callback."""
        return {}

    def on_errback(self, errback: Any, **header: Any) -> dict[str, Any]:
        """Return stamps for an errback."""
        return {}


def merge_stamps(into: dict[str, Any], more: Mapping[str, Any], collect: bool) -> None:
    """Add stamps to stamps.

    Args:
        into: Changed in place.
        more: What is added.
        collect: Values of a stamp that is in both are collected in a list; else `into` keeps its
            own.
    """
    for key, value in more.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, Mapping):
            merge_stamps(into[key], value, collect)
        elif key == "stamped_headers" or (isinstance(into[key], list) and isinstance(value, list)):
            into[key] = [*into[key], *value]
        elif collect:
            own = as_list(into[key])
            into[key] = [*own, *as_list(value)]


def collect_stamps(
    sig: Stampable,
    answered: Mapping[str, Any] | None,
    collect: bool,
    headers: Mapping[str, Any],
    *,
    own: bool = True,
) -> dict[str, Any]:
    """Return all stamps for `sig`: given, answered by the visitor, and those it has.

    Args:
        sig: The signature.
        answered: The visitor's answer, or None without a visitor.
        collect: As in `merge_stamps`.
        headers: Given by name or by the enclosing canvas.
        own: Whether stamps that `sig` has count.
    """
    stamps = dict(headers)
    given = stamps.get("stamped_headers")
    stamps["stamped_headers"] = list(stamps if given is None else given)
    if answered is not None:
        found = dict(answered)
        found.setdefault("stamped_headers", list(found))
        merge_stamps(stamps, found, collect)
    if own:
        names = {*stamps["stamped_headers"], *(sig.options.get("stamped_headers") or ())}
        stamps["stamped_headers"] = [*stamps["stamped_headers"], *names]
        have = {k: v for k, v in sig.options.items() if k in names}
        merge_stamps(stamps, have, collect)
    stamps["stamped_headers"] = list(dict.fromkeys(stamps["stamped_headers"]))
    return stamps


def stamp_signature(
    sig: Stamped, visitor: Any, append_stamps: bool, headers: Mapping[str, Any]
) -> Stamped:
    """Put stamps on one task and its links; returns it."""
    stamp_links(sig, visitor, append_stamps, headers)
    answered = None if visitor is None else visitor.on_signature(sig, **headers) or {}
    sig.set(**collect_stamps(sig, answered, append_stamps, headers))
    return sig


def stamp_links(
    sig: Stampable, visitor: Any, append_stamps: bool, headers: Mapping[str, Any]
) -> None:
    """Put stamps on callbacks and errbacks, which do not get those of `sig` itself."""
    for key, method in (("link", "on_callback"), ("link_error", "on_errback")):
        for link in sig.links(key):
            answered = None if visitor is None else getattr(visitor, method)(link, **headers) or {}
            stamps = collect_stamps(sig, answered, append_stamps, headers, own=False)
            link.stamp(visitor, append_stamps, **stamps)


def stamp_members(
    sig: Stampable,
    kind: str,
    members: Iterable[Stampable],
    visitor: Any,
    append_stamps: bool,
    headers: Mapping[str, Any],
) -> None:
    """Put stamps on the members of a group or the steps of a chain (`kind`)."""
    answered = None
    if visitor is not None:
        answered = getattr(visitor, f"on_{kind}_start")(sig, **headers) or {}
    stamps = collect_stamps(sig, answered, append_stamps, headers)
    stamp_links(sig, visitor, append_stamps, stamps)
    for member in members:
        member.stamp(visitor, append_stamps, **stamps)
    if visitor is not None:
        getattr(visitor, f"on_{kind}_end")(sig, **stamps)


def stamp_chord(
    sig: Any,
    header: Iterable[Stampable],
    visitor: Any,
    append_stamps: bool,
    headers: Mapping[str, Any],
) -> None:
    """Put stamps on a chord's header (its parts), then on its body."""
    answered = None if visitor is None else visitor.on_chord_header_start(sig, **headers) or {}
    stamps = collect_stamps(sig, answered, append_stamps, headers)
    stamp_links(sig, visitor, append_stamps, stamps)
    for member in header:
        member.stamp(visitor, append_stamps, **stamps)
    if sig.body is None:
        return
    if visitor is not None:
        visitor.on_chord_header_end(sig, **stamps)
        answered = visitor.on_chord_body(sig, **stamps) or {}
        stamps = collect_stamps(sig, answered, append_stamps, stamps)
    sig.body.stamp(visitor, append_stamps, **stamps)
