"""Measure workflows beside Celery in the same run: groups, chords and chains, in seconds.

    canvas.py [--repeat N] [--peer-repeat N] [--parts 10000] [--peer-parts 1000]

Each product has its own client, worker (prefork, two processes) and private Redis; all tasks keep
their results and do nothing. Times are from before the call is built to the result in the caller's
hands, medians. The large chord also shows how long after its last part the body started; Celery's
is smaller by default, so that a run takes minutes: the ratio is of the time per part.
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
PEER_SIZES = (200, 200, 20)  # Celery's, so that a run takes minutes; compared per part


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


def measure(
    name: str, repeat: int, parts: int, sizes: tuple[int, int, int]
) -> tuple[list[float], list[float]]:
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
            small = [
                median(group_of(kit, sizes[0]), repeat),
                median(chord_of(kit, sizes[1]), repeat),
                median(chain_of(kit, sizes[2]), repeat),
            ]
            large = body_delay(kit, parts)
        finally:
            worker.stop()
            redis.Redis.from_url(url).flushall()
    return small, large


def large_row(times: list[float], parts: int) -> list[str]:
    """Format what `body_delay` found, with microseconds per part."""
    published, whole, delay = times
    return [f"{published:.3f}", f"{whole:.3f}", f"{1e6 * whole / parts:.0f}", f"{delay:.3f}"]


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-repeat", type=int, default=1)
    parser.add_argument("--parts", type=int, default=10_000)
    parser.add_argument("--peer-parts", type=int, default=500)
    args = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found = {
        "celery": measure("celery", args.peer_repeat, args.peer_parts, PEER_SIZES),
        "tq": measure("tq", args.repeat, args.parts, SIZES),
    }
    sizes = {"celery": PEER_SIZES, "tq": SIZES}
    each = {
        name: [1e3 * value / size for value, size in zip(found[name][0], sizes[name], strict=True)]
        for name in found
    }
    ratio = [a / b for a, b in zip(each["celery"], each["tq"], strict=True)]
    rows = [[name, *(f"{value:.3f}" for value in each[name])] for name in found]
    rows.append(["x", *(f"{value:.1f}" for value in ratio)])
    heads = [
        "",
        *(f"{kind} {a:,} ({b:,})" for kind, a, b in zip(KINDS, SIZES, PEER_SIZES, strict=True)),
    ]
    table("workflows (celery's size), milliseconds per part", heads, rows)
    parts = {"celery": args.peer_parts, "tq": args.parts}
    rows = [[name, f"{parts[name]:,}", *large_row(found[name][1], parts[name])] for name in found]
    per_part = {name: found[name][1][1] / parts[name] for name in found}
    rows.append(["x per part", "", "", "", f"{per_part['celery'] / per_part['tq']:.1f}", ""])
    heads = ["", "parts", "published, s", "in all, s", "per part, us", "last part to body, s"]
    table("one large chord", heads, rows)


if __name__ == "__main__":
    main()
