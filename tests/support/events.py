"""Events as workers send them, for tests of what listens."""

from typing import Any

NOW = 1_700_000_000.0


def event(
    kind: str, uuid: str = "id-1", at: float = 0.0, host: str = "w1@node1", **fields: Any
) -> dict[str, Any]:
    """One task event of the shape Celery sends, `at` seconds after NOW."""
    return {
        "type": kind,
        "hostname": host,
        "uuid": uuid,
        "clock": int(at * 10) + 1,
        "timestamp": NOW + at,
        "utcoffset": 0.0,
        "pid": 4182,
        "local_received": NOW + at,
        **fields,
    }


def received(
    uuid: str = "id-1", at: float = 0.0, name: str = "tasks.add", **fields: Any
) -> dict[str, Any]:
    values = {
        "name": name, "args": "(1, 2)", "kwargs": "{}", "root_id": uuid, "parent_id": None,
        "retries": 0, "eta": None, "expires": None,
    }  # fmt: skip
    return event("task-received", uuid, at, **{**values, **fields})


def heartbeat(
    at: float = 0.0, host: str = "w1@node1", kind: str = "worker-heartbeat", **fields: Any
) -> dict[str, Any]:
    values = {
        "freq": 2.0, "active": 0, "processed": 0, "loadavg": [1.0, 2.0, 3.0],
        "sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux",
    }  # fmt: skip
    made = event(kind, "", at, host, **{**values, **fields})
    del made["uuid"]
    return made
