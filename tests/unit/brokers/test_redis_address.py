"""URLs of Redis servers."""

import pytest

from tq.brokers.redis.address import mask_url, parse_url
from tq.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("redis://", "tcp:127.0.0.1:6379/0"),
        ("redis://localhost:6379//", "tcp:127.0.0.1:6379/0"),
        ("redis://HOST:1/3", "tcp:host:1/3"),
        ("redis://user:pw@host/2", "tcp:host:6379/2"),
        ("redis://host?db=4", "tcp:host:6379/4"),
        ("rediss://[::1]:7000/1", "tcp:127.0.0.1:7000/1"),
        ("valkey://h", "tcp:h:6379/0"),
        ("redis+socket:///no/such?virtual_host=5", "unix:/no/such/5"),
        ("unix:///no/such?db=1", "unix:/no/such/1"),
        ("unix://:pw@/no/such", "unix:/no/such/0"),
    ],
)
def test_a_url_names_server_and_database(url: str, location: str) -> None:
    assert parse_url(url).location == location


def test_credentials_are_unquoted() -> None:
    address = parse_url("redis://us%40er:p%2Fw%3A@h")
    assert (address.username, address.password) == ("us@er", "p/w:")
    assert parse_url("redis://:pw@h").username is None


def test_sentinels_need_a_masters_name() -> None:
    url = "sentinel://:pw@a:1/2;sentinel://b;sentinel://c:3"
    with pytest.raises(ConfigError, match="master_name"):
        parse_url(url)
    address = parse_url(url, {"master_name": "m"})
    assert address.sentinels == (("a", 1), ("b", 26379), ("c", 3))
    assert address.location == "sentinel:m@a:1,b:26379,c:3/2"
    assert address.password == "pw"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("redis://:secret@h:0x/0", "unreadable"),
        ("redis://:secret@h:99999/0", "unreadable"),
        ("redis://:secret@h/x", "database"),
        ("redis://:secret@h/-1", "database"),
        ("http://:secret@h", "scheme"),
        ("redis://:secret@a;redis://b", "not a list"),
        ("redis+socket://", "absolute path"),
        (f"unix:///{'x' * 200}", "longer than"),
        ("redis://:secret@h?socket_timeout=soon", "socket_timeout"),
        ("redis://:secret@h?socket_timeout=-1", "socket_timeout"),
        ("redis://:secret@h?socket_timeout=nan", "socket_timeout"),
    ],
)
def test_a_bad_url_is_named_without_its_password(url: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:p@h:1/0", "redis://u:**@h:1/0"),
        ("redis://:p@ss@h", "redis://:**@h"),
        ("redis://h/0", "redis://h/0"),
        ("redis://u@h", "redis://u@h"),
        ("sentinel://:a@h;sentinel://:b@i", "sentinel://:**@h;sentinel://:**@i"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert "**" not in url


def test_the_password_is_in_no_repr() -> None:
    assert "secret" not in repr(parse_url("redis://:secret@h"))


def test_tls_is_on_for_its_schemes_and_options() -> None:
    assert parse_url("redis://h").tls is None
    assert parse_url("rediss://h").tls == {}
    assert parse_url("rediss://h?ssl_cert_reqs=none").tls == {"ssl_cert_reqs": "none"}
    assert parse_url("redis://h", {"ssl": {"ssl_ca_certs": "x"}}).tls == {"ssl_ca_certs": "x"}
