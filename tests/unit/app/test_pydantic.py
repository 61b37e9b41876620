"""Tasks whose arguments and results are pydantic models."""

import pydantic
import pytest


class Order(pydantic.BaseModel):
    item: str
    count: int = 1


class Bill(pydantic.BaseModel):
    total: int


def test_a_model_is_made_of_a_mapping_and_its_result_is_plain(app):
    @app.task(pydantic=True)
    def bill(order: Order, price: int) -> Bill:
        assert isinstance(order, Order)
        return Bill(total=order.count * price)

    assert bill.apply(({"item": "ink", "count": 3}, 5)).get() == {"total": 15}


def test_a_mapping_that_fits_no_model_fails_the_task(app):
    @app.task(pydantic=True)
    def bill(order: Order):
        """Do nothing."""

    result = bill.apply(({"count": "many"},))
    assert result.state == "FAILURE"
    with pytest.raises(pydantic.ValidationError, match="item"):
        result.get()


def test_a_strict_model_converts_nothing(app):
    @app.task(pydantic=True, pydantic_strict=True)
    def bill(order: Order):
        """Do nothing."""

    assert bill.apply(({"item": "ink", "count": "3"},)).state == "FAILURE"


def test_a_bound_task_and_a_coroutine_take_models_too(app):
    @app.task(pydantic=True, bind=True)
    def bound(self, order: Order) -> str:
        return f"{self.name.rpartition('.')[2]} {order.item}"

    @app.task(pydantic=True)
    async def later(order: Order | None = None) -> Bill:
        return Bill(total=0 if order is None else order.count)

    assert bound.apply(({"item": "ink"},)).get() == "bound ink"
    assert later.apply().get() == {"total": 0}
    assert later.apply(({"item": "ink", "count": 2},)).get() == {"total": 2}


def test_arguments_are_still_checked_where_the_call_is_made(app):
    @app.task(pydantic=True)
    def bill(order: Order):
        """Do nothing."""

    with pytest.raises(TypeError, match="order"):
        bill.delay()
