"""The answer to a settlement is lost on its way: what it did is neither lost nor done twice."""

import pytest

from tests.support.ledger import Ledger
from tests.support.processes import tq_worker
from tests.support.proxy import Proxy
from tests.support.services import redis_server
from tests.support.waiting import eventually
from tq import TQ, chord
from tq.brokers.redis.scripts import load

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("worker-lost-replies")]
SETTLE = load("settle").digest.encode()


class Once:
    """Cuts the first answer to a settlement that holds certain bytes."""

    def __init__(self, holds: bytes) -> None:
        self.holds, self.cuts = holds, 0

    def __call__(self, asked: bytes, answer: bytes) -> bool:
        if self.cuts or SETTLE not in asked or self.holds not in answer:
            return False
        self.cuts += 1
        return True


@pytest.mark.parametrize("task", ["late", "early"])
def test_a_chord_whose_claim_got_lost_fires_its_body_once(task: str) -> None:
    with redis_server(tcp=True) as server, Proxy(server.port) as proxy:
        # A claim is the only answer with a bar in it.
        proxy.cut_reply = once = Once(b"|")
        env = {"PEER_BACKEND": proxy.url, "PEER_LEDGER": server.url, "PEER_LEASE": "4"}
        ledger = Ledger(server.url)
        app = TQ("client", broker=server.url, backend=server.url, set_as_current=False)
        with tq_worker(proxy.url, name="claims@x", **env) as worker:
            parts = [app.signature(f"peer.{task}", args=(f"part-{n}",)) for n in range(3)]
            body = app.signature("peer.work", args=("body",), immutable=True)
            result = chord(parts, app=app)(body)
            assert result.get(timeout=30) == "body"
            eventually(lambda: ledger.count("end")["body"] == 1, within=5)
            assert once.cuts == 1, worker.output()
            assert [ledger.count("end")[f"part-{n}"] for n in range(3)] == [1, 1, 1]
        app.close()
        ledger.close()


def test_a_result_whose_answer_got_lost_is_recorded_and_its_task_runs_once() -> None:
    with redis_server(tcp=True) as server, Proxy(server.port) as proxy:
        proxy.cut_reply = once = Once(b":1")
        env = {"PEER_BACKEND": proxy.url, "PEER_LEDGER": server.url, "PEER_LEASE": "4"}
        ledger = Ledger(server.url)
        app = TQ("client", broker=server.url, backend=server.url, set_as_current=False)
        with tq_worker(proxy.url, name="results@x", **env) as worker:
            results = [app.send_task("peer.late", (f"key-{n}",)) for n in range(20)]
            assert [result.get(timeout=30) for result in results] == [f"key-{n}" for n in range(20)]
            assert once.cuts == 1, worker.output()
            assert [ledger.count("end")[f"key-{n}"] for n in range(20)] == [1] * 20
            assert worker.process.poll() is None
        app.close()
        ledger.close()
