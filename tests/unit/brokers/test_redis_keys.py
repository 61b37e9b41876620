"""Key names, compared with kombu's own functions."""

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport.redis import Channel
from kombu.transport.virtual.exchange import TopicExchange

from tq.brokers import Exchange, Queue
from tq.brokers.redis.bindings import topic_regex
from tq.brokers.redis.keys import Keys
from tq.brokers.redis.options import read_options
from tq.brokers.redis.publication import DeliveryTags
from tq.errors import ConfigError


@pytest.mark.parametrize("priority", range(-1, 12))
def test_a_priority_has_kombus_list(priority: int) -> None:
    channel: Any = SimpleNamespace(priority_steps=[0, 3, 6, 9], sep="\x06\x16")
    channel.priority = lambda n: Channel.priority(channel, n)
    clamped = min(max(priority, 0), 9)
    assert Keys().queue("celery", priority) == Channel._q_for_pri(channel, "celery", clamped)


def test_every_key_and_channel_carries_the_prefix() -> None:
    keys = Keys({"global_keyprefix": "pfx:"}, db=2)
    names = [
        keys.queue("q", 3), keys.unacked(), keys.unacked_index(), keys.unacked_mutex(),
        keys.binding("e"), keys.binding_permanent("e"), keys.binding_deadlines(), keys.channel("e"),
        keys.consumers(), keys.tags("c"), keys.started("c"), keys.inboxes("c"),
        keys.inbox("c", "q"), keys.info("c"), keys.delayed(), keys.sequence(), keys.dead(),
        keys.dead_bytes(), keys.revoked(),
    ]  # fmt: skip
    assert all(name.startswith("pfx:") for name in names)
    assert len(set(names)) == len(names)


def test_fanout_channels_are_kombus() -> None:
    assert Keys(db=3).channel("celery.pidbox") == "/3.celery.pidbox"
    assert Keys().channel("celeryev", "task.sent") == "/0.celeryev/task.sent"
    assert Keys().channel_pattern("celeryev", "worker.#") == "/0.celeryev/worker.*"
    assert Keys({"fanout_patterns": False}).channel("ev", "k") == "/0.ev"
    assert Keys({"fanout_prefix": False}).channel("ev") == "ev"
    assert Keys({"fanout_prefix": "/{db}x."}, db=1).channel("ev") == "/1x.ev"


@pytest.mark.parametrize(
    "options",
    [
        {"fanout_prefix": "x"},
        {"priority_steps": [1, 2]},
        {"priority_steps": "a"},
        {"priority_steps": []},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Keys(options)


@pytest.mark.parametrize("key", ["a.*", "a.#", "#", "a-b_c.*.d+e", "\u00e9.x y", "*a.b", ""])
def test_topic_patterns_are_written_as_kombu_writes_them(key: str) -> None:
    exchange: Any = TopicExchange(None)
    assert topic_regex(key) == exchange.key_to_pattern(key)


@pytest.mark.parametrize("name", ["lease", "delivery_limit", "dead_count", "max_message_size"])
@pytest.mark.parametrize("value", ["x", -1, float("nan"), 10**15])
def test_our_options_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        read_options({name: value})


def test_delivery_tags_look_like_uuids_and_do_not_repeat() -> None:
    tags = DeliveryTags()
    made = {tags.next() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(tag) for tag in made} == {36}
    assert {tag.count("-") for tag in made} == {4}


def test_queue_and_exchange_default_to_the_default_exchange() -> None:
    assert Queue(name="q").exchange is None
    assert Exchange().name == ""
