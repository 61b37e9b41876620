"""Many workers on one machine: names, ranges and options; start, stop, restart, kill.

Source: CLI 2 (multi); celery/apps/multi.py, celery/bin/multi.py.
"""

from tq.multi.fleet import Fleet, Outcome
from tq.multi.names import Parsed, Plan, Style, parse, plan
from tq.multi.nodes import Node, default_paths, make_nodes

__all__ = [
    "Fleet",
    "Node",
    "Outcome",
    "Parsed",
    "Plan",
    "Style",
    "default_paths",
    "make_nodes",
    "parse",
    "plan",
]
