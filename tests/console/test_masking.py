import pytest

from tests.console.synthetic import SyntheticSource
from tqconsole.tui.model.masking import masked


@pytest.mark.parametrize(
    "text",
    [
        "{'password': 'hunter2', 'user': 'ana'}",
        '{"db_password": "hunter2"}',
        "{'access_token': 'hunter2'}",
        "{'accessToken': 'hunter2'}",
        "{'client-secret': 'hunter2'}",
        "{'api_key': 'hunter2'}",
        "{'apiKey': 'hunter2'}",
        "{'key': 'hunter2'}",
        "{'PASSWORD': 'hunter2'}",
        "{'password': 'a\\'hunter2'}",
        "{'password': 'hunter2 cut in the mid...",
        "{'token': ['hunter2', 1]}",
        "{'token': {'value': 'hunter2'}}",
        "Login(user='ana', password='hunter2')",
        "https://example.com/?token=hunter2&page=1",
        "redis://:hunter2@10.0.0.5:6379/0",
        "amqp://guest:hunter2@10.0.0.5//",
        "{'Authorization': 'Bearer hunter2'}",
        "LoginError: bad password: hunter2",
        "Authorization: Bearer hunter2",
        "    db_password = 'hunter2'",
        "    login(user, token='hunter2')",
        "OperationalError: cannot reach postgres://app:hunter2@db/x",
    ],
)
def test_the_value_of_a_secret_is_never_shown(text: str) -> None:
    assert "hunter2" not in masked(text)
    assert "****" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(81723,)",
        "{'monkey': 'george', 'keyboard': 'qwerty', 'turkey': 1}",
        "{'routing_key': 'billing', 'primary_key': 7}",
        "{'amount': '19.90', 'currency': 'EUR'}",
        "https://example.com/a?page=1",
        "InvalidTokenError: Signature has expired",
        "KeyError: 'href'",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    assert masked("{'user': 'ana', 'password': 'x', 'n': 2}") == (
        "{'user': 'ana', 'password': '****', 'n': 2}"
    )


@pytest.mark.parametrize("screen", ["tasks", "failures"])
async def test_errors_and_tracebacks_show_no_secret(console, screen: str) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    trace = (
        'Traceback (most recent call last):\n  File "proj/db.py", line 7, in connect\n'
        "    open_db(user='ana', password='hunter2')\nValueError: bad token: hunter2\n"
    )
    message = "ValueError('bad token: hunter2')"
    for number in range(3):
        source.task(f"id-{number}", "proj.db", outcome="failed", exception=message, traceback=trace)
    async with console(source, size=(160, 48), screen=screen) as c:
        await c.press("j")
        assert "proj.db" in c.text()
        assert "hunter2" not in c.text()
        await c.press("t")
        assert "open_db(user='ana'" in c.text()
        assert "hunter2" not in c.text()
        await c.press("y", "t")
        assert "open_db" in c.app.clipboard
        assert "hunter2" not in c.app.clipboard


async def test_no_screen_shows_a_secret(console) -> None:
    source = SyntheticSource()
    source.worker("w1@node1")
    source.task("id-0", "proj.login", kwargs="{'user': 'ana', 'password': 'hunter2'}")
    async with console(source, size=(160, 48)) as c:
        await c.press("j")
        assert "ana" in c.text()
        assert "hunter2" not in c.text()
        await c.press("enter")
        assert "ana" in c.text()
        assert "hunter2" not in c.text()
