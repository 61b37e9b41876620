"""Who is there, who fell silent, who is elected."""

from typing import Any

import pytest

from tq.worker.gossip import MOST_PEERS, Gossip


class Emitter:
    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append((kind, fields))


class Broker:
    driver = "memory"


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.elected: list[tuple[str, Any]] = []
        self.emitter = Emitter()
        self.gossip = Gossip(
            None,  # type: ignore[arg-type] # never started
            Broker(),  # type: ignore[arg-type]
            self.emitter,  # type: ignore[arg-type]
            hostname="me@host",
            elected=lambda topic, action: self.elected.append((topic, action)),
            monotonic=lambda: self.now,
        )

    def hear(self, kind: str, node: str = "w2@host", **fields: Any) -> None:
        self.gossip.hear({"type": kind, "hostname": node, **fields})


@pytest.fixture
def world() -> World:
    return World()


def test_whoever_beats_is_a_peer_and_we_are_none(world: World) -> None:
    world.hear("worker-heartbeat", freq=2.0)
    world.hear("worker-heartbeat", node="me@host", freq=2.0)
    assert list(world.gossip.peers) == ["w2@host"]


def test_a_peer_that_leaves_is_not_missed(world: World) -> None:
    world.hear("worker-online", freq=2.0)
    world.hear("worker-offline")
    world.now = 100.0
    assert world.gossip.lost() == []


def test_a_peer_that_is_silent_for_two_beats_is_lost_once(world: World) -> None:
    world.hear("worker-heartbeat", node="slow@host", freq=30.0)
    world.hear("worker-heartbeat", freq=2.0)
    world.now = 4.0
    assert world.gossip.lost() == []
    world.now = 6.0
    assert world.gossip.lost() == ["w2@host"]
    assert world.gossip.lost() == []
    assert list(world.gossip.peers) == ["slow@host"]


def test_a_frequency_that_makes_no_sense_changes_nothing(world: World) -> None:
    for frequency in (-1, 0, float("nan"), "fast", None, 1e9):
        world.hear("worker-heartbeat", freq=frequency)
    assert world.gossip.peers["w2@host"].frequency == 2.0


def test_the_lowest_clock_wins_when_all_have_heard(world: World) -> None:
    world.hear("worker-heartbeat", freq=2.0)
    for node, clock in (("w2@host", 7), ("me@host", 5)):
        world.hear("worker-elect", node, id="e", clock=clock, pid=1, topic="task", action={"a": 1})
    assert [kind for kind, _ in world.emitter.sent] == ["worker-elect-ack"] * 2
    world.hear("worker-elect-ack", "me@host", id="e")
    assert world.elected == []
    world.hear("worker-elect-ack", "w2@host", id="e")
    assert world.elected == [("task", {"a": 1})]
    world.hear("worker-elect-ack", "w2@host", id="e")
    assert len(world.elected) == 1


def test_who_is_not_the_lowest_does_nothing(world: World) -> None:
    world.hear("worker-heartbeat", freq=2.0)
    for node, clock in (("w2@host", 4), ("me@host", 5)):
        world.hear("worker-elect", node, id="e", clock=clock, pid=1, topic="task", action={})
    for node in ("me@host", "w2@host"):
        world.hear("worker-elect-ack", node, id="e")
    assert world.elected == []


def test_a_crowd_ends_gossip(world: World) -> None:
    for number in range(MOST_PEERS + 1):
        world.hear("worker-heartbeat", node=f"w{number}@host", freq=2.0)
    assert world.gossip.peers == {}
