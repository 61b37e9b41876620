"""Random nested canvases give what plain Python gives."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.expressions import expressions
from tests.support.fleet import TIMEOUT, Fleet
from tq import chain, chord, group

pytestmark = pytest.mark.timeout(120)

run_some = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)


def kit(fleet: Fleet) -> SimpleNamespace:
    return SimpleNamespace(**vars(fleet.t), chain=chain, group=group, chord=chord)


@run_some
@given(expression=expressions, start=st.integers(-5, 5))
def test_nested_canvas_equals_plain_python(fleet: Fleet, expression, start):
    canvas = chain(fleet.t.identity.s(start), expression.build(kit(fleet)))
    assert canvas.delay().get(timeout=TIMEOUT) == expression.value(start)


@settings(run_some, max_examples=50)
@given(expression=expressions, start=st.integers(-5, 5))
def test_nested_canvas_survives_json_unchanged(fleet: Fleet, expression, start):
    made = chain(fleet.t.identity.s(start), expression.build(kit(fleet)))
    again = fleet.app.signature(plain(made))
    assert plain(again) == plain(made)


def plain(value):
    return json.loads(json.dumps(value))
