"""Commands about many tasks go out in parts, and count as one."""

import time
from collections.abc import Callable
from typing import Any

from tq.control import Control
from tqconsole.tui.commander import Commander
from tqconsole.tui.model.sent import SentCommand, summary_text


class Reply:
    def __init__(self, node: str, value: Any) -> None:
        self.node, self.value, self.elapsed = node, value, 0.01


class Call:
    """Answers at once, for two workers."""

    def __init__(self, replies: list[Reply]) -> None:
        self._new, self.complete = replies, True
        self.deadline = time.monotonic() + 60

    def poll(self) -> list[Reply]:
        new, self._new = self._new, []
        return new

    def is_late(self, reply: Reply) -> bool:
        return False


class Workers(Control):
    """Stands for the control of a cluster of two workers."""

    def __init__(self, answer: Callable[[int, str], Any]) -> None:
        super().__init__()
        self.sent: list[list[str]] = []
        self.answer = answer

    def start(self, command: str, arguments: Any = None, **options: Any) -> Any:
        self.sent.append(arguments["task_id"])
        number = len(self.sent)
        return Call([Reply(node, self.answer(number, node)) for node in ("w1", "w2")])


def command(number: int) -> SentCommand:
    return SentCommand(
        number=1,
        method="revoke",
        arguments={"task_id": [f"id-{n}" for n in range(number)], "terminate": False},
        destination=None,
        equivalent="tq control revoke",
        sent_at=time.time(),
        timeout=60.0,
        expected=("w1", "w2"),
    )


def run(workers: Workers, sent: SentCommand, until: Callable[[], bool]) -> None:
    commander = Commander(workers)
    commander.start()
    try:
        commander.send(sent)
        deadline = time.monotonic() + 60
        while not until():
            assert time.monotonic() < deadline, sent
            commander.drain()
            time.sleep(0.01)
    finally:
        commander.stop(time.monotonic() + 10)


def test_many_ids_go_out_in_parts_and_each_worker_answers_once() -> None:
    workers, sent = Workers(lambda number, node: {"ok": "revoked"}), command(1_201)
    run(workers, sent, lambda: sent.complete)
    assert [len(ids) for ids in workers.sent] == [500, 500, 201]
    assert [task for ids in workers.sent for task in ids] == sent.arguments["task_id"]
    assert [answer.node for answer in sent.answers] == ["w1", "w2"]
    assert sent.all_ok
    assert sent.answers[0].text == "ok: 3 parts"


def test_an_error_in_one_part_is_the_workers_answer() -> None:
    def answer(number: int, node: str) -> Any:
        return {"error": "no such"} if (number, node) == (2, "w2") else {"ok": "revoked"}

    workers, sent = Workers(answer), command(1_201)
    run(workers, sent, lambda: sent.complete)
    assert [answer.ok for answer in sent.answers] == [True, False]
    assert sent.answers[1].text == "no such"


def test_what_is_stopped_sends_no_further_part() -> None:
    workers, sent = Workers(lambda number, node: {"ok": "revoked"}), command(500_000)
    sent.stopping = True
    run(workers, sent, lambda: sent.complete)
    assert len(workers.sent) == 1


def test_one_part_keeps_its_answers() -> None:
    workers, sent = Workers(lambda number, node: {"ok": f"revoked by {node}"}), command(3)
    run(workers, sent, lambda: sent.complete)
    assert sent.answers[0].text == "ok: revoked by w1"
    assert summary_text(sent, time.time())[1] == "success"
