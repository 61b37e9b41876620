"""Applications on the in-process broker."""

import pytest

from tq import TQ


@pytest.fixture
def app():
    with TQ("proj", broker="memory://", set_as_current=False) as app:
        yield app
        app.broker.purge("celery")
