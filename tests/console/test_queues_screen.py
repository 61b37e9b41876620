"""Queues: what is known of them and from where, holding, purging, looking into them."""

from dataclasses import replace

import pytest

from tests.console.synthetic import SyntheticSource
from tq.errors import CommandRefused
from tq.monitor import WaitingTask
from tqconsole.tui.model.facts import QueueFacts, WorkerFacts
from tqconsole.tui.model.queue_trends import QueueTrend, QueueTrends
from tqconsole.tui.screens.confirm import ConfirmScreen
from tqconsole.tui.screens.replies import RepliesScreen


def cluster(**fields) -> SyntheticSource:
    source = SyntheticSource()
    for name in ("w1@node1", "w2@node1"):
        source.worker(name, queues=("mail", "default"))
    told = {"unacked": 160, "parked": 3, "dead": 2, "priorities": ((0, 12_000), (3, 840))}
    workers = ("w1@node1", "w2@node1")
    facts = QueueFacts("mail", 12_840, consumers=2, workers=workers, as_of=source.clock(), **told)
    source.queues = [replace(facts, **fields), QueueFacts("other", 0, consumers=0)]
    return source


async def test_what_the_broker_cannot_tell_is_a_dash_and_the_page_says_why(console) -> None:
    source = cluster(unacked=None, parked=None, dead=None)
    async with console(source, screen="queues", size=(160, 48)) as c:
        row = next(
            line
            for line in c.lines()
            if "12 840" in line and "WORKERS" not in line and "queues" not in line
        )
        assert row.split()[1:7] == ["12", "840", "-", "-", "-", "-"]
        await c.press("g", "enter")
        assert "this broker does not tell" in c.text()
        assert "no event told a queue" in c.text()


async def test_a_queue_tells_its_figures_and_their_source(console) -> None:
    source = cluster(heads=("id-0",))
    source.task("id-0", "mail.send", queue="mail", outcome="sent", ago=372)
    async with console(source, screen="queues", size=(160, 48)) as c:
        text = c.text()
        assert "2 queues   12 840 messages wait   2 dead" in text
        row = next(
            line
            for line in c.lines()
            if "12 840" in line and "WORKERS" not in line and "queues" not in line
        )
        assert row.split()[:7] == ["▌mail", "12", "840", "160", "3", "2", "6m12s"]
        await c.press("g", "enter")
        text = c.text()
        assert "priority 0: 12 000   priority 3: 840" in text
        assert "160   handed to workers and not acknowledged" in text
        assert "6m12s   by its task-sent event" in text
        assert "w1@node1  w2@node1" in text


async def test_the_messages_that_come_next_are_decoded_and_masked(console) -> None:
    source = cluster()
    source.lying["mail"] = [
        WaitingTask(queue="mail", size=512, id=f"id-{n:06}", name="mail.send",
                    args=f"({n},)", kwargs="{'password': 'hunter2'}", retries=n % 2)
        for n in range(60)
    ] + [WaitingTask(queue="mail", size=9, args="garbage", reason="not_json")]  # fmt: skip
    async with console(source, screen="queues", size=(100, 48)) as c:
        await c.press("enter")
        text = c.text()
        assert "20 of 12 840" in text
        assert "id-00000" in text
        assert "mail.send" in text
        assert "'password': '****'" in text
        assert "hunter2" not in text
        assert "try 2" in text
        await c.press("m", "G")
        assert "not readable: not_json" in c.text()


async def test_a_broker_that_shows_no_messages_says_so_and_events_help(console) -> None:
    source = cluster()
    source.lying["mail"] = "amqp shows messages only to consumers, which take them"
    source.task("id-7", "mail.send", queue="mail", outcome="sent", ago=30)
    async with console(source, screen="queues") as c:
        await c.press("enter")
        assert "only to consumers, which take them" in c.text()
        assert "events tell of 1 sent here and not received" in c.text()
        assert "id-7" in c.text()


async def test_holding_asks_for_the_name_and_resuming_for_a_yes(console) -> None:
    source = cluster()
    async with console(source, screen="queues") as c:
        await c.press("H")
        assert isinstance(c.screen, ConfirmScreen)
        assert "HOLD mail" in c.text()
        assert "tq control cancel_consumer mail -d w1@node1,w2@node1" in c.text()
        await c.type("mail")
        await c.press("enter")
        assert isinstance(c.screen, RepliesScreen)
        sent = c.source.commands[0]
        assert (sent.method, sent.arguments) == ("cancel_consumer", {"queue": "mail"})
        assert sent.destination == ["w1@node1", "w2@node1"]
        await c.press("escape")
        held = replace(source.queues[0], consumers=0, workers=(), held=("w1@node1", "w2@node1"))
        source.queues = [held]
        await c.frame()
        assert "HELD" in c.text()
        assert "1 held" in c.text()
        await c.press("H")
        assert "resume mail on 2 workers?" in c.text()
        await c.press("y")
        assert c.source.commands[1].method == "add_consumer"
        assert c.source.commands[1].destination == ["w1@node1", "w2@node1"]


async def test_a_queue_nobody_takes_from_cannot_be_held(console) -> None:
    async with console(cluster(), screen="queues") as c:
        await c.press("G", "H")
        assert "no worker takes from other" in c.lines()[-1]
        assert not c.source.commands


async def test_purging_asks_for_the_queues_name(console) -> None:
    async with console(cluster(), screen="queues") as c:
        await c.press("P")
        assert "PURGE mail" in c.text()
        assert "12 840 messages, as counted now" in c.text()
        assert "tq purge -Q mail" in c.text()
        await c.type("12840")
        await c.press("enter")
        assert "that is not mail" in c.text()
        assert not c.source.commands
        c.screen.query_one("Input").value = ""
        await c.type("mail")
        await c.press("enter")
        sent = c.source.commands[0]
        assert (sent.method, sent.arguments) == ("purge", {"queue": "mail"})
        c.source.answer(sent, "broker", "ok: 12840 messages deleted")
        sent.done = sent.good = 1
        sent.listening = False
        await c.frame()
        assert "ok: 12840 messages deleted" in c.text()


async def test_an_empty_queue_is_not_purged(console) -> None:
    async with console(cluster(), screen="queues") as c:
        await c.press("G", "P")
        assert "nothing waits in other" in c.lines()[-1]
        assert not c.source.commands


async def test_read_only_offers_neither_hold_nor_purge(console) -> None:
    source = cluster()
    source.read_only = True
    async with console(source, screen="queues") as c:
        await c.press("H", "P")
        assert not isinstance(c.screen, ConfirmScreen)
        assert not c.source.commands
    with pytest.raises(CommandRefused):
        source.purge("mail")


@pytest.mark.parametrize("key", ["r", "o", "g", "u", "d", "w"])
async def test_queues_are_sorted_by_a_letter(console, key: str) -> None:
    async with console(cluster(), screen="queues") as c:
        await c.press("s", key)
        first = c.screen.rows.key(0)
        await c.press("s", key)
        assert c.screen.rows.key(len(c.screen.rows) - 1) == first


def known(*queues: str) -> WorkerFacts:
    return WorkerFacts(queues=queues)


def test_flows_come_from_events_and_counts() -> None:
    """What is taken is counted by task names, what comes is that and the growth."""
    source, trends = SyntheticSource(), QueueTrends()
    queue = QueueFacts("mail", ready=0, consumers=1, as_of=source.clock())
    begin = source.clock()
    for second in range(0, 61, 2):
        source.clock.now = begin + second
        for number in range(10):
            source.task(f"{second}-{number}", "mail.send", queue="mail", ago=0.5)
        source.drain(source.clock())
        ready = 100 + 3 * second
        queue = replace(queue, ready=ready, as_of=source.clock())
        trends.update(source.state, [queue], lambda hostname: None)
    trend = trends.trend("mail")
    assert trend.outflow() == pytest.approx(5.0)
    assert trend.inflow() == pytest.approx(8.0)
    assert trend.growth() == pytest.approx(3.0)


@pytest.mark.parametrize(("queues", "flows"), [(("mail",), True), (("mail", "other"), False)])
def test_without_sent_events_only_a_worker_of_one_queue_tells(
    queues: tuple[str, ...], flows: bool
) -> None:
    source, trends = SyntheticSource(), QueueTrends()
    begin = source.clock()
    for second in range(0, 31, 2):
        now = source.clock.now = begin + second
        fields = {"name": "mail.send", "args": "()", "kwargs": "{}", "timestamp": now}
        source.event("task-received", uuid=f"id-{second}", hostname="w1@node1", **fields)
        source.drain(now)
        counted = QueueFacts("mail", ready=5, consumers=1, as_of=now)
        trends.update(source.state, [counted], lambda hostname: known(*queues))
    assert (trends.trend("mail").outflow() is not None) is flows


def test_a_purge_begins_the_counts_anew() -> None:
    trend = QueueTrend()
    for second in range(0, 31, 2):
        trend.add(second, ready=1000 + second, taken=float(second))
    assert trend.inflow() == pytest.approx(2.0)
    trend.add(32, ready=2, taken=32.0)
    assert trend.inflow() is None
    for second in range(34, 61, 2):
        trend.add(second, ready=second - 30, taken=float(second))
    assert trend.inflow() == pytest.approx(2.0)


def test_a_queue_without_workers_loses_nothing() -> None:
    source, trends = SyntheticSource(), QueueTrends()
    for second in range(0, 31, 2):
        queue = QueueFacts("legacy", ready=second, consumers=0, as_of=source.clock() + second)
        trends.update(source.state, [queue], lambda hostname: None)
    assert trends.trend("legacy").outflow() == 0.0
    assert trends.trend("legacy").inflow() == pytest.approx(1.0)


def test_the_oldest_message_is_known_at_least_or_estimated() -> None:
    source, trends = SyntheticSource(), QueueTrends()
    now = source.clock()
    source.task("id-0", "a", queue="mail", outcome="sent", ago=300)
    source.task("id-1", "a", queue="mail", outcome="sent", ago=100)
    source.drain(now)

    def oldest(**fields):
        queue = QueueFacts("mail", as_of=now, **fields)
        trends.update(source.state, [queue], lambda hostname: None)
        return trends.oldest(queue, source.state)

    assert oldest(ready=0) is None
    assert oldest(ready=2) == (now - 300, "~")
    assert oldest(ready=3) == (now - 300, ">")
    assert oldest(ready=2, heads=("id-1",)) == (now - 100, "")
    for later in (0, 60):  # a message that no event told of stays next in line
        unknown = QueueFacts("other", ready=2, heads=("foreign",), as_of=now + later)
        trends.update(source.state, [unknown], lambda hostname: None)
        assert trends.oldest(unknown, source.state) == (now, ">")


def test_the_oldest_message_is_estimated_from_what_came_and_went() -> None:
    source, trends = SyntheticSource(), QueueTrends()
    begin = source.clock()
    for second in range(0, 61, 2):
        now = source.clock.now = begin + second
        for number in range(10):
            source.task(f"{second}-{number}", "mail.send", queue="mail", ago=0.5)
        source.drain(now)
        queue = QueueFacts("mail", ready=100 + 5 * second, consumers=1, as_of=now)
        trends.update(source.state, [queue], lambda hostname: None)
    # 310 were taken, and in all 410 + 10 a second had come by then
    oldest = trends.oldest(queue, source.state)
    assert oldest is not None
    assert oldest.mark == "~"
    assert begin < oldest.since < now


def test_tasks_that_a_worker_received_wait_no_more() -> None:
    source, trends = SyntheticSource(), QueueTrends()
    source.task("id-0", "a", queue="mail", outcome="sent")
    source.drain(source.clock())
    trends.update(source.state, [], lambda hostname: None)
    assert list(trends.waiting("mail")) == ["id-0"]
    source.event("task-received", uuid="id-0", name="a", args="()", kwargs="{}", hostname="w1@n")
    source.drain(source.clock())
    trends.update(source.state, [], lambda hostname: None)
    assert not trends.waiting("mail")
