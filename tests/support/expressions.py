"""Random nested canvases over small pure functions, and what plain Python makes of them.

An `Expression` builds its canvas with any framework's `chain`, `group` and `chord`, and computes the
value that the canvas must have for a given input.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st


def total(value: Any) -> int:
    """Sum of all numbers in a value, however deep."""
    return sum(total(item) for item in value) if isinstance(value, list) else value


def shift(value: Any, by: int) -> Any:
    """A value with a number added to each number in it."""
    return [shift(item, by) for item in value] if isinstance(value, list) else value + by


@dataclass
class Expression:
    """`build(kit)` is a signature that takes one input; `value(input)` is what comes of it.

    Attributes:
        spreads: Its end is a group, so that a header around it is unrolled or a next step upgrades it.
    """

    build: Callable[[SimpleNamespace], Any]
    value: Callable[[Any], Any]
    spreads: bool
    text: str

    def __repr__(self) -> str:
        return self.text


def _task(name: str, function: Callable[[Any, int], Any], by: int) -> Expression:
    return Expression(
        lambda kit: getattr(kit, name).s(by=by),
        lambda given: function(copy.deepcopy(given), by),
        False,
        f"{name}({by})",
    )


leaves = st.one_of(
    st.builds(lambda by: _task("shift", shift, by), st.integers(-3, 3)),
    st.builds(lambda by: _task("total", lambda v, b: total(v) + b, by), st.integers(-3, 3)),
    st.builds(lambda by: _task("wrap", lambda v, b: [v, b], by), st.integers(-3, 3)),
    st.builds(lambda by: _task("retried", shift, by), st.integers(1, 2)),
    st.builds(lambda by: _task("replaced", shift, by), st.integers(1, 2)),
)


def _chain(steps: list[Expression]) -> Expression:
    def value(given: Any) -> Any:
        for step in steps:
            given = step.value(given)
        return given

    return Expression(
        lambda kit: kit.chain(*[step.build(kit) for step in steps]),
        value,
        steps[-1].spreads,
        f"({' | '.join(map(repr, steps))})",
    )


def _group(members: list[Expression]) -> Expression:
    return Expression(
        lambda kit: kit.group([member.build(kit) for member in members]),
        lambda given: [member.value(given) for member in members],
        True,
        f"group({', '.join(map(repr, members))})",
    )


def _chord(header: list[Expression], body: Expression) -> Expression:
    return Expression(
        lambda kit: kit.chord([member.build(kit) for member in header], body.build(kit)),
        lambda given: body.value([member.value(given) for member in header]),
        body.spreads,
        f"chord([{', '.join(map(repr, header))}], {body!r})",
    )


def _plain(expressions: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Members whose end is one task: groups in headers are unrolled in an order of Celery's own."""
    return expressions.filter(lambda expression: not expression.spreads)


def _nest(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    members = st.lists(_plain(inner), min_size=2, max_size=4)
    return st.one_of(
        st.builds(_chain, st.lists(inner, min_size=1, max_size=4)),
        st.builds(_group, members),
        st.builds(_chord, st.lists(_plain(inner), min_size=1, max_size=4), inner),
    )


expressions = st.recursive(leaves, _nest, max_leaves=14)
