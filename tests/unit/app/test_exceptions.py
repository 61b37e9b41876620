"""A project's own exceptions are known to its results without being named."""

import tq
from tq import TQ, Task
from tq.errors import RemoteError
from tq.wire.exceptions import encode_exception, rebuild_exception


class Shortage(Exception):
    """Stands in a module that defines tasks."""


def elsewhere(name: str) -> type[Exception]:
    """Make an exception class of another module, which nobody can look up there."""
    return type(name, (Exception,), {"__module__": f"elsewhere_{name}"})


def test_what_a_tasks_module_defines_comes_back_once_the_task_is_made() -> None:
    app = TQ("exceptions", set_as_current=False)

    @app.task
    def order() -> None:
        """Do nothing."""

    assert order.name
    assert type(rebuild_exception(encode_exception(Shortage("out", 3)))) is Shortage


def test_what_a_task_throws_or_retries_comes_back_wherever_it_is_defined() -> None:
    app = TQ("exceptions", set_as_current=False)
    thrown, retried, other = elsewhere("Thrown"), elsewhere("Retried"), elsewhere("Other")

    @app.task(throws=(thrown, SystemExit), autoretry_for=[retried])
    def order() -> None:
        """Do nothing."""

    assert order.name
    assert type(rebuild_exception(encode_exception(thrown("x")))) is thrown
    assert type(rebuild_exception(encode_exception(retried("x")))) is retried
    assert type(rebuild_exception(encode_exception(other("x")))) is RemoteError
    assert type(rebuild_exception(encode_exception(SystemExit(1)))) is RemoteError
    tq.register_exceptions(other)
    assert type(rebuild_exception(encode_exception(other("x")))) is other


def test_a_class_based_task_brings_back_the_same() -> None:
    app = TQ("exceptions", set_as_current=False)
    thrown, other = elsewhere("ThrownByAClass"), elsewhere("OtherOfAClass")

    class Order(Task):
        throws = (thrown,)

    app.register_task(Order())
    assert type(rebuild_exception(encode_exception(thrown("x")))) is thrown
    assert type(rebuild_exception(encode_exception(other("x")))) is RemoteError
