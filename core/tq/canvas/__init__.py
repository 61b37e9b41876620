"""Signatures and how they combine: chains, groups, chords, maps and chunks."""

from tq.canvas.body import counted_ends, dispatch_body, fail_body
from tq.canvas.chain import _chain, chain, linked
from tq.canvas.chord import chord
from tq.canvas.chunks import chunks, xmap, xstarmap
from tq.canvas.group import group
from tq.canvas.sender import Sender, set_default_sender
from tq.canvas.signature import Signature, maybe_signature, signature, subtask
from tq.canvas.stamping import StampingVisitor

__all__ = [
    "Sender",
    "Signature",
    "StampingVisitor",
    "_chain",
    "chain",
    "chord",
    "chunks",
    "counted_ends",
    "dispatch_body",
    "fail_body",
    "group",
    "linked",
    "maybe_signature",
    "set_default_sender",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
