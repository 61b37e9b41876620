"""Run the benchmarks: `run.py [worker|publish|latency]...`; all of them without arguments."""

import argparse
import gc
import importlib
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from measure import Row, Sample, Worker, group_cpu, private_redis, redis_cost, table, wait

APPS = Path(__file__).parent / "apps"
BIN = Path(sys.executable).parent


def load(name: str, url: str) -> Any:
    """Import one of the benchmark applications, pointed at our server."""
    os.environ["BENCH_URL"] = url
    if str(APPS) not in sys.path:
        sys.path.insert(0, str(APPS))
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def drained(client: "redis.Redis") -> bool:
    """Tell whether no bench message waits or is held (tq, Celery and dramatiq keys)."""
    return not any(
        (
            client.llen("bench"),
            client.hlen("unacked"),
            client.llen("dramatiq:bench"),
            client.hlen("dramatiq:bench.msgs"),
        )
    )


def measured(
    worker: Worker, client: "redis.Redis", publish: Callable[[int], None], count: int
) -> Row:
    """Let a worker, stopped while the tasks are published, drain `count` tasks."""
    publish(300)
    wait(lambda: drained(client), 60)
    time.sleep(0.5)
    worker.signal(signal.SIGSTOP)
    publish(count)
    cpu, (redis_cpu, commands) = group_cpu(worker.pgid), redis_cost(client)
    began = time.perf_counter()
    worker.signal(signal.SIGCONT)
    wait(lambda: drained(client), 300, every=0.01)
    wall = time.perf_counter() - began
    redis_cpu_after, commands_after = redis_cost(client)
    used = group_cpu(worker.pgid) - cpu + redis_cpu_after - redis_cpu
    return Sample(wall, used, commands_after - commands).per(count)


def tq_worker(url: str, pool: str, task: str, count: int, extra: list[str]) -> Row:
    """Measure tq with one pool."""
    module = load("tq_app", url)
    client = redis.Redis.from_url(url)
    slots = {"prefork": "2", "threads": "2", "asyncio": "100", "solo": "1"}[pool]
    argv = [str(BIN / "tq"), "worker", "-A", "tq_app", "-P", pool, "-c", slots, *extra]
    worker = Worker(argv, url)
    function = getattr(module, task)
    try:
        return measured(
            worker, client, lambda n: module.app.send_many([function.s()] * n) and None, count
        )
    finally:
        worker.stop()
        module.app.close()
        client.flushall()


def celery_worker(url: str, pool: str, task: str, count: int) -> Row:
    """Measure Celery with one pool; its tasks are published by tq, the wire format being one."""
    module = load("tq_app", url)
    client = redis.Redis.from_url(url)
    argv = [str(BIN / "celery"), "-A", "celery_app", "worker", "-P", pool, "-c", "2", "-l", "ERROR"]
    worker = Worker(argv, url)
    function = getattr(module, task)
    try:
        return measured(
            worker, client, lambda n: module.app.send_many([function.s()] * n) and None, count
        )
    finally:
        worker.stop()
        module.app.close()
        client.flushall()


def dramatiq_worker(url: str, task: str, count: int) -> Row:
    """Measure dramatiq with two processes of one thread."""
    module = load("dramatiq_app", url)
    client = redis.Redis.from_url(url)
    argv = [str(BIN / "dramatiq"), "dramatiq_app", "-p", "2", "-t", "1"]
    worker = Worker(argv, url)

    def publish(n: int) -> None:
        for _ in range(n):
            getattr(module, task).send()

    try:
        return measured(worker, client, publish, count)
    finally:
        worker.stop()
        client.flushall()


def bench_worker(url: str, args: argparse.Namespace) -> None:
    """Print throughput per pool, results ignored and stored, beside the peers."""
    for task, title in (("noop", "results ignored"), ("stored", "results stored")):
        peer = celery_worker(url, "prefork", task, args.peer_tasks)
        rows = [_row("celery prefork 2", peer, peer)]
        if not args.no_dramatiq:
            rows.append(_row("dramatiq 2", dramatiq_worker(url, task, args.peer_tasks), peer))
        for pool in args.pools.split(","):
            name = f"a{task}" if pool == "asyncio" else task
            rows.append(_row(f"tq {pool}", tq_worker(url, pool, name, args.tasks, []), peer))
            if pool == "prefork":
                events = tq_worker(url, pool, name, args.tasks, ["-E"])
                rows.append(_row("tq prefork, events on", events, peer))
        heads = ["worker", "tasks/s", "CPU us/task", "Redis commands/task", "x Celery", "CPU ratio"]
        table(f"no-op tasks, {title}", heads, rows)


def _row(name: str, row: Row, peer: Row) -> list[str]:
    return [
        name,
        f"{row.rate:,.0f}",
        f"{row.cpu_us:,.0f}",
        f"{row.commands:.2f}",
        f"{row.rate / peer.rate:.1f}",
        f"{peer.cpu_us / row.cpu_us:.1f}",
    ]


def bench_publish(url: str, args: argparse.Namespace) -> None:
    """Print publish rates, one at a time and in bulk, and a raw PING loop."""
    module, peer = load("tq_app", url), load("celery_app", url)
    client = redis.Redis.from_url(url)
    # Two libraries in one process: each would pay for the collector's walks over the other.
    gc.collect()
    gc.freeze()
    ping = _rate(_raw_ping(url), 4000)
    figures = {
        "PING loop on a raw socket": ping,
        "celery delay()": _rate(peer.noop.delay, 1000),
        "celery group of 1,000": _bulk_celery(peer),
        "tq delay()": _rate(module.noop.delay, 4000),
        "tq send_many of 1,000": _bulk_tq(module),
    }
    client.flushall()
    celery_one = figures["celery delay()"]
    rows = [
        [name, f"{rate:,.0f}", f"{rate / celery_one:.1f}", f"{rate / ping:.2f}"]
        for name, rate in figures.items()
    ]
    table("publishing", ["how", "messages/s", "x Celery delay()", "of PING"], rows)
    module.app.close()


def _rate(call: Callable[[], Any], count: int) -> float:
    for _ in range(200):
        call()
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(count):
            call()
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def _raw_ping(url: str) -> Callable[[], Any]:
    import socket  # only this figure

    host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ping() -> bytes:
        sock.sendall(b"*1\r\n$4\r\nPING\r\n")
        return sock.recv(64)

    return ping


def _bulk_tq(module: Any) -> float:
    signatures = [module.noop.s() for _ in range(1000)]
    return 1000 * _rate(lambda: module.app.send_many(signatures), 20)


def _bulk_celery(peer: Any) -> float:
    from celery import group  # only this figure

    return 1000 * _rate_once(lambda: group(peer.noop.s() for _ in range(1000)).apply_async(), 2)


def _rate_once(call: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - began)


def bench_latency(url: str, args: argparse.Namespace) -> None:
    """Print the idle round trip `delay().get()`, 50th and 99th percentile."""
    rows = []
    for name, app, argv in (
        ("celery", "celery_app", [str(BIN / "celery"), "-A", "celery_app", "worker", "-c", "2"]),
        ("tq", "tq_app", [str(BIN / "tq"), "worker", "-A", "tq_app", "-c", "2"]),
    ):
        module = load(app, url)
        worker = Worker(argv, url)
        try:
            module.stored.delay().get(timeout=30)
            times = []
            for _ in range(args.round_trips):
                began = time.perf_counter()
                module.stored.delay().get(timeout=30)
                times.append((time.perf_counter() - began) * 1e3)
        finally:
            worker.stop()
            module.app.close()
        cuts = statistics.quantiles(times, n=100)
        rows.append([name, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}"])
        redis.Redis.from_url(url).flushall()
    table("idle round trip with result, ms", ["", "p50", "p99"], rows)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=["worker", "publish", "latency", []], default=[])
    parser.add_argument("--tasks", type=int, default=30_000, help="tasks per tq run")
    parser.add_argument("--peer-tasks", type=int, default=3_000, help="tasks per peer run")
    parser.add_argument("--pools", default="prefork,threads,asyncio,solo")
    parser.add_argument("--round-trips", type=int, default=500)
    parser.add_argument("--no-dramatiq", action="store_true")
    args = parser.parse_args()
    chosen = args.what or ["publish", "latency", "worker"]
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with private_redis() as url:
        for what in chosen:
            globals()[f"bench_{what}"](url, args)


if __name__ == "__main__":
    main()
