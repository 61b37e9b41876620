"""A small shop: tasks that are quick, slow, flaky or broken, as in real life."""

import random
import time

from tq import TQ, Task
from tq.schedules import crontab

__all__ = ["app"]

app = TQ("demo", set_as_current=True)
app.conf.update(
    task_default_queue="demo",
    task_routes={"reports.*": {"queue": "demo.slow"}},
    task_send_sent_event=True,
    worker_send_task_events=True,
    result_extended=True,
    result_expires=3600,
    beat_schedule={
        "digest": {"task": "mail.send", "schedule": 15.0, "args": ("all@example.com", "digest")},
        "monthly report": {
            "task": "reports.build",
            "schedule": crontab(day_of_month="1", hour="3", minute="0"),
            "args": (2026, 12),
        },
    },
)

_dice = random.Random()


class CardDeclined(Exception):
    """The payment gateway said no."""


@app.task(name="billing.charge", bind=True, max_retries=3)
def charge(self: Task[..., str], customer: int, amount: str) -> str:
    """Charge a card; one in twelve is declined for good, one in ten is retried."""
    time.sleep(_dice.uniform(0.02, 0.15))
    fate = _dice.random()
    if fate < 0.08:
        raise CardDeclined(f"insufficient_funds for customer {customer}")
    if fate < 0.18:
        raise self.retry(exc=ConnectionError("gateway timed out"), countdown=_dice.uniform(1, 4))
    return f"charged {amount}"


@app.task(name="mail.send", rate_limit="40/s")
def send_mail(to: str, template: str) -> dict[str, str]:
    """Send a mail."""
    time.sleep(_dice.uniform(0.005, 0.04))
    return {"to": to, "template": template, "id": f"{_dice.getrandbits(32):08x}"}


@app.task(name="images.resize")
def resize(path: str, width: int) -> str:
    """Resize an image; damaged files fail."""
    time.sleep(_dice.uniform(0.05, 0.4))
    if _dice.random() < 0.04:
        raise ValueError(f"{path}: not an image")
    return f"{path}@{width}"


@app.task(name="gallery.publish")
def publish(images: list[str]) -> int:
    """Publish a gallery, once all its images are resized: the body of a chord."""
    return len(images)


@app.task(name="search.index")
async def index(document: int) -> int:
    """Index a document, in a coroutine."""
    import asyncio  # deferred: importing the demo must stay quick

    await asyncio.sleep(_dice.uniform(0.01, 0.08))
    return document


@app.task(name="reports.build", soft_time_limit=20, time_limit=30)
def build_report(year: int, month: int) -> dict[str, int]:
    """Build a report; takes its time."""
    for _ in range(_dice.randint(20, 120)):
        time.sleep(0.1)
    return {"year": year, "month": month, "rows": _dice.randint(1_000, 90_000)}
