"""Every captured result record; records that make no sense; exceptions in both directions."""

import builtins
import json
import pickle
import sys
import types
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import celery.exceptions
import pytest
from celery import Celery

from tq import errors
from tq.errors import ContentDisallowed, DecodeError, EncodeError, RemoteError
from tq.wire.exceptions import register_task_exceptions
from tq.wire.result import (
    ResultMeta,
    decode_result,
    encode_exception,
    encode_result,
    rebuild_exception,
    register_exceptions,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"


def records() -> list[Any]:
    cases = []
    for path in sorted((FIXTURES / "results-redis").glob("*.json")):
        for index, write in enumerate(json.loads(path.read_text()).get("writes", [])):
            key = str(write["redis"][1])
            if key.startswith("celery-task-meta-") and write.get("value_raw"):
                cases.append(pytest.param(write["value_raw"], id=f"{path.stem}-{index}"))
    for path in sorted((FIXTURES / "results-rpc-amqp").glob("*.json")):
        for index, message in enumerate(json.loads(path.read_text())["result_messages"]):
            cases.append(pytest.param(message["body"], id=f"rpc-{path.stem}-{index}"))
    return cases


@pytest.mark.parametrize("text", records())
def test_record_is_written_as_it_was_read(text: str) -> None:
    meta = decode_result(text.encode())
    again = json.loads(encode_result(meta))
    assert again == json.loads(text)
    assert list(again) == list(json.loads(text))


def test_there_are_many_records() -> None:
    assert len(records()) > 60


def test_compressed_record_is_read() -> None:
    data = json.loads((FIXTURES / "results-redis" / "compressed_and_prefixed.json").read_text())
    raw = b64decode(data["value"]["b64"])
    meta = decode_result(raw)
    assert (meta.task_id, meta.status) == ("tid-1", "SUCCESS")
    again = encode_result(meta, compression="gzip")
    assert again[:38] == raw[:38]
    assert decode_result(again) == meta


def test_stamps_lie_flat_in_the_record() -> None:
    meta = ResultMeta(
        task_id="i",
        status="SUCCESS",
        extended={"name": "t", "args": [], "kwargs": {}, "worker": "w", "retries": 0, "queue": "q"},
        stamped_headers=["region"],
        stamps={"region": "eu"},
    )
    raw = encode_result(meta)
    assert json.loads(raw)["region"] == "eu"
    assert decode_result(raw) == meta


@pytest.mark.parametrize("serializer", ["json", "msgpack", "yaml"])
def test_every_serializer_writes_records(serializer: str) -> None:
    meta = ResultMeta(task_id="i", status="SUCCESS", result={"a": [1, None, "é"]}, children=[])
    mime = {
        "json": "application/json",
        "msgpack": "application/x-msgpack",
        "yaml": "application/x-yaml",
    }
    raw = encode_result(meta, serializer)
    found = decode_result(raw, serializer=serializer, accept=frozenset({mime[serializer]}))
    assert found == meta


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [1.5], 10**30, "\ud800", {1: 2}, b"x"]
)
def test_any_json_value_survives(value: Any) -> None:
    found = decode_result(encode_result(ResultMeta(task_id="i", status="SUCCESS", result=value)))
    assert repr(found.result) == repr({"1": 2} if value == {1: 2} else value)


def test_value_without_json_form_is_refused() -> None:
    with pytest.raises(EncodeError):
        encode_result(ResultMeta(task_id="i", status="SUCCESS", result=object()))
    with pytest.raises(EncodeError):
        encode_result(ResultMeta(task_id="i", status="SUCCESS", result={1, 2}))


GOOD = {"status": "SUCCESS", "result": 1, "traceback": None, "children": [], "task_id": "i"}
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"not json", "not_json"),
        (b"\xff\xfe\x00", "not_utf8"),
        (b"null", "bad_result"),
        (b"[]", "bad_result"),
        (json.dumps({**GOOD, "status": None}).encode(), "bad_status"),
        (json.dumps({**GOOD, "status": 5}).encode(), "bad_status"),
        (json.dumps({**GOOD, "status": "S" * 5000}).encode(), "bad_status"),
        (json.dumps({**GOOD, "task_id": "other"}).encode(), "bad_task_id"),
        (json.dumps({**GOOD, "task_id": 5}).encode(), "bad_task_id"),
        (DEEP.encode(), "too_deep"),
        (pickle.dumps(GOOD), "not_utf8"),
        (
            b"\x00celery-compressed\x00application/x-gzip\x00" + zlib.compress(b"{}")[:-3],
            "bad_compression",
        ),
        (b"\x00celery-compressed\x00application/x-gzip\x00garbage", "bad_compression"),
        (b"\x00celery-compressed\x00application/nope\x00x", "unknown_compression"),
        (b"\x00celery-compressed\x00", "unknown_compression"),
        (
            b"\x00celery-compressed\x00application/x-gzip\x00"
            + zlib.compress(bytes(70_000_000), 1),
            "too_large",
        ),
        (b'"' + b"x" * 65 * 1024 * 1024 + b'"', "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_record_that_is_none_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_result(raw, task_id="i")
    assert caught.value.reason == reason


def test_pickled_record_is_never_unpickled_without_leave() -> None:
    with pytest.raises(ContentDisallowed):
        decode_result(pickle.dumps(GOOD), serializer="pickle")


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("traceback", ["x"], "traceback", None),
        ("children", "x", "children", None),
        ("date_done", 5, "date_done", None),
        ("group_id", {}, "group_id", None),
        ("parent_id", 3, "parent_id", None),
        ("stamped_headers", [1], "stamped_headers", None),
    ],
)
def test_wrong_optional_fields_become_none(
    field: str, value: Any, name: str, expected: Any
) -> None:
    meta = decode_result(json.dumps({**GOOD, field: value}).encode())
    assert getattr(meta, name) == expected


def test_a_missing_result_is_none() -> None:
    assert decode_result(b'{"status": "SUCCESS", "task_id": "i"}').result is None


# exceptions


class AppError(Exception):
    """A class that the application registers."""


class TwoArguments(Exception):
    """A class that cannot be made from its `args`."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


@pytest.mark.parametrize(
    "exc",
    [ValueError("boom"), OSError(2, "no"), KeyError("k"), ZeroDivisionError(), UnicodeError("x")],
    ids=repr,
)
def test_builtin_exceptions_survive(exc: Exception) -> None:
    found = rebuild_exception(encode_exception(exc))
    assert type(found) is type(exc)
    assert found.args == exc.args


OWN = [
    errors.NotRegistered("t"),
    errors.ChordError("c"),
    errors.TaskRevokedError("expired"),
    errors.MaxRetriesExceededError("m"),
    errors.InvalidTaskError("i"),
    errors.Reject("no", requeue=True),
    errors.Ignore(),
    errors.ImproperlyConfigured("x"),
    errors.SoftTimeLimitExceeded(3.5),
    errors.TimeLimitExceeded(4),
    errors.WorkerLostError("gone"),
    errors.ResultTimeout("late"),
    errors.ContentDisallowed("no"),
    errors.OperationalError("o"),
    errors.Retry("later"),
]


@pytest.mark.parametrize("exc", OWN, ids=lambda exc: type(exc).__name__)
def test_own_exceptions_survive_and_celery_rebuilds_its_own_class(exc: Exception) -> None:
    data = encode_exception(exc)
    assert type(rebuild_exception(data)) is type(exc)
    assert (
        rebuild_exception(data).args[: len(data["exc_message"])]
        == exc.args[: len(data["exc_message"])]
    )
    module = sys.modules[data["exc_module"]]
    assert data["exc_module"].split(".")[0] in ("celery", "billiard", "kombu")
    peer = getattr(module, data["exc_type"])
    app = Celery("peer", set_as_current=False)
    rebuilt = app.backend.exception_to_python(json.loads(json.dumps(data)))
    assert type(rebuilt) is peer


def test_own_exceptions_unknown_to_celery_keep_their_module() -> None:
    data = encode_exception(errors.CommandRefused("no"))
    assert data["exc_module"] == "tq.errors"
    assert type(rebuild_exception(data)) is errors.CommandRefused


@pytest.mark.parametrize("name", celery.exceptions.__all__)
def test_no_name_of_celerys_is_rebuilt_as_another(name: str) -> None:
    found = rebuild_exception(
        {"exc_type": name, "exc_message": ["x"], "exc_module": "celery.exceptions"}
    )
    if isinstance(found, RemoteError):
        assert found.exc_type == name
    else:
        assert type(found).__name__ == name or getattr(errors, name) is type(found)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "GeneratorExit"),
        ("builtins", "BaseException"),
        ("builtins", "eval"),
        ("builtins", "print"),
        ("builtins", "__import__"),
        ("builtins", "__doc__"),
        ("tq.errors", "errors.Any"),
        ("json.decoder", "JSONDecodeError"),
        ("json", "decoder.JSONDecodeError"),
        ("no.such.module", "Boom"),
        (None, "ValueError"),
        (5, "ValueError"),
        ("builtins", 5),
        ("builtins", "V" * 100_000),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_other_classes_are_never_made(module: Any, name: Any) -> None:
    loaded = set(sys.modules)
    found = rebuild_exception({"exc_type": name, "exc_message": ["touch x"], "exc_module": module})
    assert type(found) is RemoteError
    assert "touch x" in str(found)
    assert set(sys.modules) == loaded


@pytest.mark.parametrize("data", [None, 5, "text", [], ["a"], {}, {"exc_type": None}])
def test_garbage_becomes_a_remote_error(data: Any) -> None:
    assert type(rebuild_exception(data)) is RemoteError


def test_registered_classes_come_back() -> None:
    data = encode_exception(AppError("code", 42))
    assert type(rebuild_exception(data)) is RemoteError
    register_exceptions(AppError)
    assert type(rebuild_exception(data)) is AppError
    with pytest.raises(TypeError):
        register_exceptions(SystemExit)  # type: ignore[arg-type]


def test_exceptions_of_a_module_with_tasks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("proj_tasks")
    monkeypatch.setitem(sys.modules, "proj_tasks", module)
    data = {"exc_type": "Shortage", "exc_message": ["out", 3], "exc_module": "proj_tasks"}
    register_task_exceptions("proj_tasks")
    assert type(rebuild_exception(data)) is RemoteError
    # Defined after the task, as it may be.
    exec("class Shortage(Exception): pass", vars(module))
    found = rebuild_exception(data)
    assert type(found) is module.Shortage
    assert found.args == ("out", 3)


def test_a_module_with_tasks_lends_only_exceptions_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("proj_more")
    monkeypatch.setitem(sys.modules, "proj_more", module)
    register_task_exceptions("proj_more", SystemExit, "no class", None)
    code = "class Stop(BaseException): pass\nclass Plain: pass\ndef call(*args): pass\n"
    exec(code + "from subprocess import CalledProcessError, run", vars(module))
    module.__getattr__ = pytest.fail  # type: ignore[method-assign]  # looked up, it would import
    names = ("Stop", "Plain", "call", "run", "CalledProcessError", "missing", "__builtins__")
    for name in names:
        data = {"exc_type": name, "exc_message": ["x"], "exc_module": "proj_more"}
        assert type(rebuild_exception(data)) is RemoteError
    data = {"exc_type": "SystemExit", "exc_message": [1], "exc_module": "builtins"}
    assert type(rebuild_exception(data)) is RemoteError
    data = {"exc_type": "Gone", "exc_message": [1], "exc_module": "proj_not_loaded"}
    register_task_exceptions("proj_not_loaded")
    assert type(rebuild_exception(data)) is RemoteError


def test_a_class_that_refuses_its_arguments_becomes_a_remote_error() -> None:
    register_exceptions(TwoArguments)
    found = rebuild_exception(encode_exception(TwoArguments("a", "b")))
    assert type(found) is RemoteError
    assert found.exc_type == "TwoArguments"


def test_a_remote_error_goes_out_as_what_it_stands_for() -> None:
    data = {"exc_type": "Boom", "exc_message": ["a", 1], "exc_module": "app.tasks"}
    assert encode_exception(rebuild_exception(data)) == data


def test_arguments_that_cannot_be_written_become_reprs() -> None:
    data = encode_exception(ValueError("a", object(), {"k": {1, 2}}))
    assert data["exc_message"][0] == "a"
    assert data["exc_message"][1].startswith("<object object")
    assert json.loads(json.dumps(data)) == data


@pytest.mark.timeout(5)
def test_huge_messages_are_cut() -> None:
    found = rebuild_exception(
        {
            "exc_type": "ValueError",
            "exc_message": ["x" * 10_000_000] * 500,
            "exc_module": "builtins",
        }
    )
    assert sum(len(arg) for arg in found.args) < 5_000_000


def test_every_builtin_exception_is_made_or_stood_in_for() -> None:
    for name in dir(builtins):
        found = rebuild_exception(
            {"exc_type": name, "exc_message": ["x"], "exc_module": "builtins"}
        )
        assert isinstance(found, Exception)
