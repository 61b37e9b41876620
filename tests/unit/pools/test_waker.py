"""A waker turns its descriptor readable, once per look."""

import select

from tq.pools.waker import Waker


def readable(waker: Waker) -> bool:
    return bool(select.select([waker], [], [], 0)[0])


def test_readable_from_set_to_clear() -> None:
    waker = Waker()
    assert not readable(waker)
    waker.set()
    waker.set()
    assert readable(waker)
    waker.clear()
    assert not readable(waker)
    waker.set()
    assert readable(waker)


def test_a_closed_waker_ignores_everything() -> None:
    waker = Waker()
    waker.close()
    waker.close()
    waker.set()
    waker.clear()
