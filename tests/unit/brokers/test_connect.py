"""Which broker a URL names; nothing is opened."""

import pytest

from tq.brokers import connect
from tq.errors import ConfigError


def test_schemes_choose_the_implementation() -> None:
    assert connect("memory://").driver == "memory"
    for url in ("redis://h", "rediss://h", "unix:///s", "valkey://h"):
        assert connect(url).driver == "redis"


def test_the_url_is_shown_without_its_password() -> None:
    assert connect("redis://u:secret@h/1").url == "redis://u:**@h/1"


@pytest.mark.parametrize("url", ["localhost:6379", "redis", "/tmp/sock"])
def test_a_url_without_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        connect(url)


def test_equal_locations_are_the_same_data() -> None:
    assert (
        connect("redis://localhost/1").location == connect("redis://:pw@127.0.0.1:6379/1").location
    )
    assert connect("redis://h/1").location != connect("redis://h/2").location
    assert connect("memory://a").location is None
