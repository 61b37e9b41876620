"""The public API as users write it; only type-checked, never run."""

from typing import assert_type

from tq import TQ, AsyncResult, Task, chain, chord, group, signature

app = TQ("proj", broker="memory://")


@app.task
def add(x: int, y: int = 0) -> int:
    """A plain task keeps its signature."""
    return x + y


@app.task(bind=True, max_retries=3, autoretry_for=(ConnectionError,))
def fetch(self: Task[..., str], url: str) -> str:
    """A bound task loses its first argument."""
    return f"{url} {self.request.retries}"


@app.task(name="proj.ping")
async def ping(host: str) -> float:
    """A coroutine's result is what it returns."""
    return float(len(host))


def calls() -> None:
    """What type checkers see of a call."""
    assert_type(add.delay(1, y=2), AsyncResult)
    assert_type(add(1, 2), int)
    add.delay("one")  # type: ignore[arg-type]  # the point of this line
    add.delay()  # type: ignore[call-arg]  # the point of this line
    fetch.delay("http://example.com")
    ping.delay("example.com")
    add.apply_async((1, 2), countdown=3.0, queue="slow", priority=5)


def canvas() -> None:
    """Signatures combine."""
    work = chain(add.s(1, 2), add.s(3)) | group(add.s(4), add.s(5))
    work.apply_async()
    chord([add.s(1, 1), add.s(2, 2)], add.si(0, 0)).apply_async()
    signature("proj.add", args=(1, 2)).delay()
    app.send_many([add.s(n, n) for n in range(10)])


async def waiting() -> object:
    """Results can be awaited."""
    return await add.delay(1, 2)
