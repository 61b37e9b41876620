"""What tasks wrote down while things were broken, and what it proves."""

import os
from collections import Counter
from dataclasses import dataclass

import redis

from tests.support.waiting import eventually


@dataclass(frozen=True)
class Account:
    """The history of a load. `extra` counts starts beyond the first of each task."""

    sent: int
    started: int
    lost: list[str]
    unstarted: list[str]
    extra: int
    double_ends: int

    def __str__(self) -> str:
        return (
            f"sent {self.sent}, lost {len(self.lost)}, never started {len(self.unstarted)}, "
            f"extra starts {self.extra}, extra ends {self.double_ends}"
        )


class Ledger:
    """The list that `tests.support.peer_tasks` append to, on a server that no test breaks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._redis = redis.Redis.from_url(url, decode_responses=True)

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self._redis.lrange("ledger", 0, -1)]

    def length(self) -> int:
        return self._redis.llen("ledger")

    def count(self, event: str) -> Counter[str]:
        return Counter(line[1] for line in self.lines() if line[0] == event)

    def ended(self) -> int:
        return len(self.count("end"))

    def times(self, event: str) -> list[float]:
        return [float(line[4]) for line in self.lines() if line[0] == event]

    def wait_ended(self, number: int, within: float) -> None:
        """Wait until `number` different tasks have ended."""
        eventually(lambda: self.ended() >= number, within=within, every=0.1)

    def account(self, keys: list[str]) -> Account:
        starts, ends = self.count("start"), self.count("end")
        return Account(
            sent=len(keys),
            started=len(starts),
            lost=[key for key in keys if key not in ends],
            unstarted=[key for key in keys if key not in starts],
            extra=sum(starts.values()) - len(starts),
            double_ends=sum(ends.values()) - len(ends),
        )

    def clear(self) -> None:
        self._redis.delete("ledger")

    def close(self) -> None:
        self._redis.close()


def children(pid: int) -> list[int]:
    """Pids of a process's children; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resident_kib(pid: int) -> int:
    """Resident memory of one process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
