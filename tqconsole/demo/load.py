"""A steady, slightly bursty load for the demo's workers. Run as `python -m tqconsole.demo.load`."""

import contextlib
import math
import random
import time

from tq import chord
from tq.errors import BrokerError
from tqconsole.demo.tasks import app, build_report, charge, index, publish, resize, send_mail

__all__ = ["main", "one_second"]

_dice = random.Random()


def one_second(second: int, rate: float) -> int:
    """Send about `rate` tasks for one second of the load, and return how many.

    Args:
        second: Seconds since the start; the load swells and ebbs over a minute.
        rate: Mean tasks a second.
    """
    count = max(1, round(rate * (1 + 0.6 * math.sin(second / 10))))
    signatures = []
    for _ in range(count):
        number = _dice.randint(1, 99_999)
        fate = _dice.random()
        if fate < 0.35:
            signatures.append(send_mail.s(f"user{number}@example.com", "welcome"))
        elif fate < 0.60:
            signatures.append(charge.s(number, f"{_dice.uniform(5, 200):.2f}"))
        elif fate < 0.80:
            signatures.append(index.s(number))
        else:
            signatures.append(resize.s(f"/img/{number}.jpg", _dice.choice((320, 640, 1280))))
    if second % 7 == 0:
        signatures.append(build_report.s(2026, _dice.randint(1, 12)))
    if second % 4 == 0:
        _send_gallery(_dice.randint(3, 9))
    if second % 5 == 0:
        signatures.append(send_mail.s("later@example.com", "digest").set(countdown=30))
    app.send_many(signatures)
    return len(signatures)


def _send_gallery(images: int) -> None:
    """Send a chord: the gallery is published when all its images are resized."""
    header = [resize.s(f"/gallery/{number}.jpg", 1280) for number in range(images)]
    chord(header, app=app)(publish.s())


def main(rate: float = 25.0) -> None:
    """Send the load until interrupted; a broker that is away is waited for."""
    second = 0
    while True:
        try:
            one_second(second, rate)
        except BrokerError:
            time.sleep(1.0)
        second += 1
        time.sleep(1.0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
