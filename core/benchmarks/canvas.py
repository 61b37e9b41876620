"""Measure workflows beside Celery in the same run: groups, chords and chains, in seconds.

    canvas.py [--repeat N] [--peer-repeat N] [--parts 10000] [--peer-parts 1000]

Each product has its own client, worker (prefork, two processes) and private Redis; all tasks keep
their results and do nothing. Times are from before the call is built to the result in the caller's
hands, medians. The large chord also shows how long after its last part the body started; Celery's
is smaller, so that a run takes a minute or two, and compared by the part.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import redis
from measure import Worker, private_redis, table
from run import BIN, load

KINDS = ("group", "chord", "chain")
SIZES = (1000, 1000, 100)


def group_of(kit: SimpleNamespace, size: int) -> Callable[[], None]:
    """Return what sends a group and gets its results."""

    def go() -> None:
        found = kit.group(kit.stored.s() for _ in range(size)).apply_async().get(timeout=300)
        assert len(found) == size

    return go


def chord_of(kit: SimpleNamespace, size: int) -> Callable[[], None]:
    """Return what sends a chord and gets its body's result."""

    def go() -> None:
        made = kit.chord((kit.stored.s() for _ in range(size)), kit.count.s())
        assert made.apply_async().get(timeout=300) == size

    return go


def chain_of(kit: SimpleNamespace, size: int) -> Callable[[], None]:
    """Return what sends a chain and gets its last result."""

    def go() -> None:
        made = kit.chain(kit.stored.si() for _ in range(size))
        assert made.apply_async().get(timeout=300) == 1

    return go


def body_delay(kit: SimpleNamespace, size: int) -> list[float]:
    """Run a large chord; return seconds to publish, in all, and from last part to body's start."""
    began = time.perf_counter()
    result = kit.chord((kit.stamped.s() for _ in range(size)), kit.latest.s()).apply_async()
    sent = time.perf_counter() - began
    last_part, body_start = result.get(timeout=600)
    return [sent, time.perf_counter() - began, body_start - last_part]


def median(go: Callable[[], None], repeat: int) -> float:
    """Time a call a few times, after one that does not count."""
    go()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        go()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def kit_of(name: str, module: Any) -> SimpleNamespace:
    """Return a product's tasks and canvas constructors."""
    canvas: Any = __import__("celery" if name == "celery" else "tq")
    names = ("stored", "count", "stamped", "latest")
    return SimpleNamespace(
        chain=canvas.chain,
        group=canvas.group,
        chord=canvas.chord,
        **{name: getattr(module, name) for name in names},
    )


def measure(name: str, repeat: int, parts: int) -> tuple[list[float], list[float]]:
    """Measure one product on a Redis of its own."""
    with private_redis() as url:
        module = load(f"{name}_app", url)
        argv = [str(BIN / name), "-A", f"{name}_app", "worker", "-c", "2", "-l", "ERROR"]
        if name == "tq":
            argv = [str(BIN / "tq"), "worker", "-A", "tq_app", "-c", "2", "-l", "ERROR"]
        worker = Worker(argv, url)
        try:
            kit = kit_of(name, module)
            kit.stored.delay().get(timeout=60)
            makers = (group_of, chord_of, chain_of)
            small = [
                median(make(kit, size), repeat) for make, size in zip(makers, SIZES, strict=True)
            ]
            large = body_delay(kit, parts)
        finally:
            worker.stop()
            redis.Redis.from_url(url).flushall()
    return small, large


def rows_of(found: dict[str, list[float]]) -> list[list[str]]:
    """Format each product's figures, and how many times tq's are in Celery's."""
    rows = [[name, *(f"{value:.3f}" for value in values)] for name, values in found.items()]
    ratios = [a / b for a, b in zip(found["celery"], found["tq"], strict=True)]
    return [*rows, ["x", *(f"{ratio:.1f}" for ratio in ratios)]]


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-repeat", type=int, default=1)
    parser.add_argument("--parts", type=int, default=10_000)
    parser.add_argument("--peer-parts", type=int, default=1_000)
    args = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    parts = {"celery": args.peer_parts, "tq": args.parts}
    repeat = {"celery": args.peer_repeat, "tq": args.repeat}
    found = {name: measure(name, repeat[name], parts[name]) for name in parts}
    heads = [f"{kind} of {size:,}" for kind, size in zip(KINDS, SIZES, strict=True)]
    small = {name: times for name, (times, _) in found.items()}
    table("workflows, seconds", ["", *heads], rows_of(small))
    large = {
        name: [1e3 * published / parts[name], 1e3 * whole / parts[name], delay]
        for name, (_, (published, whole, delay)) in found.items()
    }
    heads = ["published, ms a part", "in all, ms a part", "last part to body, s"]
    title = " and ".join(f"{size:,} ({name})" for name, size in parts.items())
    table(f"one chord of {title} parts", ["", *heads], rows_of(large))


if __name__ == "__main__":
    main()
