"""What differs when the same project runs on Celery and on tq, each with its reason.

`tests/interop/test_side_by_side.py` and `test_settings_side_by_side.py` run two projects on both,
compare everything that can be seen, and accept what is named here and nothing else. Keys: the
project, what is compared, and a pattern of the names that differ in it.
"""

from collections.abc import Mapping

__all__ = ["BY_DESIGN", "NOT_YET"]

_ENCODE = (
    "an error of a value that cannot be encoded names the task and the value; its type is the same"
)
_REJECT = "a task that rejects its message has a traceback in its result"
_CHORD = "a chord that fails through a part has no traceback: its body did not run"
_GROUP = "`task-sent` and `task-received` also tell the group and the place in it"
_EAGER = "with `task_store_eager_result` a failure is stored also when it is raised in the caller"

BY_DESIGN: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "basic": {
        "results": {
            "failures unserialisable": _ENCODE,
            "failures unknown": "`str()` of NotRegistered is the name without KeyError's quotes",
            "unstored rejecting": _REJECT,
            "canvas bad-body": _CHORD,
        },
        "records": {
            "unserialisable result": _ENCODE,
            "unknown *": (
                "`result_extended` records name and arguments although no task has that name"
            ),
            "revoked *": (
                "the record of a task revoked before its time has all fields of `result_extended`"
            ),
            "rejecting traceback": _REJECT,
            "bad-body traceback": _CHORD,
        },
        "told": {
            "unserialisable task-failed exception": _ENCODE,
            "fields of task-*": _GROUP,
            "* group_i*": _GROUP,
        },
        "heard": {
            "arguments of after_task_publish": "`after_task_publish` also gives `properties`",
            "rejecting in *": (
                "`task_failure` of a task that rejects its message is sent where it ran, as every "
                "other `task_failure`; Celery sends this one in the worker's parent"
            ),
        },
        "noted": {
            "after_return *": (
                "`after_return` gets the `einfo` of a failure, as documented; Celery gives None"
            ),
        },
        "logged": {"line": "a line that a task prints is logged with the task's name and id"},
    },
    "tuned": {
        "found": {
            "child": "an inherited priority comes before `task_default_priority`",
            "slow": "SoftTimeLimitExceeded tells the limit",
        },
        "lifetimes": {"eager-fails": _EAGER},
        "stored": {"eager-fails": _EAGER},
    },
}

NOT_YET: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "basic": {
        "records": {
            "s2 *": "the record of a step that will never run has no name and arguments",
        },
    },
    "tuned": {},
}
