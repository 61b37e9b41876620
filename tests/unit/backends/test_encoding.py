"""Keys, records and parts as Celery writes them."""

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from tq.backends import connect
from tq.backends.encoding import Encoding, group_key, task_key
from tq.errors import ConfigError, DecodeError
from tq.wire.result import ResultMeta

FIXTURES = Path(__file__).parents[2] / "fixtures" / "results-redis"


def writes(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())["writes"]


@pytest.mark.parametrize("name", ["success", "failure", "chord", "chord_failing"])
def test_recorded_results_are_written_again_byte_for_byte(name):
    encoding = Encoding({})
    for write in writes(name):
        key, raw = write["redis"][1], write.get("value_raw")
        if raw is None or not key.startswith("celery-task-meta-"):
            continue
        result = encoding.decode(raw.encode(), key.removeprefix("celery-task-meta-"))
        assert task_key(encoding.prefix, result.task_id) == key
        assert json.loads(encoding.encode(result)) == json.loads(raw)
        assert encoding.ttl_of(result) == write["redis"][2]


def test_recorded_group_is_read():
    write = writes("group_saved")[0]
    record = Encoding({}).load_group(write["value_raw"].encode())
    assert write["redis"][1] == group_key("", record["result"][0][0])


def test_recorded_compressed_and_prefixed_result_is_read():
    data = json.loads((FIXTURES / "compressed_and_prefixed.json").read_text())
    encoding = Encoding({"global_keyprefix": "be", "expires": 60})
    key = data["redis"][1]
    raw = base64.b64decode(data["value"]["b64"])
    result = encoding.decode(raw, "tid-1")
    assert task_key(encoding.prefix, result.task_id) == key
    assert encoding.ttl_of(result) == data["redis"][2]


@pytest.mark.parametrize("prefix", ["a:", "a_", "a-", "a."])
def test_prefix_that_ends_in_a_separator_gets_no_other(prefix):
    assert Encoding({"global_keyprefix": prefix}).prefix == prefix


def test_expiry_takes_seconds_timedeltas_and_none():
    assert Encoding({"expires": timedelta(hours=1)}).ttl == 3600
    assert Encoding({"expires": None}).ttl == 0
    assert Encoding({"expires": 60, "failure_expires": None}).failure_ttl == 60


@pytest.mark.parametrize("value", [-1, "soon", 2**40])
def test_expiry_that_makes_no_sense_is_a_config_error(value):
    with pytest.raises(ConfigError, match="expires"):
        Encoding({"expires": value})


def test_part_is_written_as_celery_writes_it():
    part = Encoding({}).chord_part("G", ResultMeta(task_id="t", status="SUCCESS", result=5), 2)
    assert part.group_key == "celery-taskset-meta-G"
    assert json.loads(part.member) == [1, "t", "SUCCESS", 5]
    assert (part.mark, part.score) == ("t:2", 2.0)
    assert (
        Encoding({}).chord_part("G", ResultMeta(task_id="t", status="SUCCESS"), None).mark
        == "t:+inf"
    )


def test_part_that_is_none_is_a_decode_error():
    with pytest.raises(DecodeError):
        Encoding({}).read_part(b'{"a": 1}')


@pytest.mark.parametrize("url", ["mongodb://x", "redis-cluster://x"])
def test_unknown_backend_is_a_config_error_that_names_the_known(url):
    with pytest.raises(ConfigError, match="redis://"):
        connect(url)


def test_rpc_without_a_broker_is_a_config_error():
    with pytest.raises(ConfigError, match="broker"):
        connect("rpc://")


def test_password_is_masked_in_url_and_repr():
    backend = connect("redis://:secret@localhost:6399/2")
    assert "secret" not in backend.url + repr(backend)
    assert backend.location == "tcp:127.0.0.1:6399/2"


def test_memory_results_expire():
    from tq.backends.memory import MemoryBackend

    class Clock:
        now = 100.0

        def time(self):
            return self.now

        monotonic = time

    clock = Clock()
    backend = MemoryBackend(options={"expires": 60}, clock=clock)
    backend.store([ResultMeta(task_id="a", status="SUCCESS")])
    clock.now += 59
    assert "a" in backend.fetch(["a"])
    clock.now += 2
    assert backend.fetch(["a"]) == {}
