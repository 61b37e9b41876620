import json
import logging
import os
import pickle
import sqlite3
from pathlib import Path

import pytest

from tq.beat import Progress, open_store
from tq.errors import ConfigError

PROGRESS = {
    "a": Progress(slot=1000.25, last_run_at=1000.5, total_run_count=3, schedule="x"),
    "ünïcode \n": Progress(slot=2000.0, schedule="y"),
}
KINDS = ["state", "state.db"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_is_loaded(tmp_path, kind):
    store = open_store(tmp_path / kind)
    assert store.load() == {}
    store.save(PROGRESS, set(PROGRESS))
    store.save({"a": PROGRESS["a"]}, {"ünïcode \n"})
    store.save(PROGRESS, set(PROGRESS))
    store.close()
    again = open_store(tmp_path / kind)
    assert again.load() == PROGRESS
    again.save({"a": PROGRESS["a"]}, {"ünïcode \n"})
    assert again.load() == {"a": PROGRESS["a"]}
    again.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_is_its_owners_alone(tmp_path, kind):
    store = open_store(tmp_path / kind)
    store.save(PROGRESS, set(PROGRESS))
    store.close()
    assert (tmp_path / kind).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [kind]


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("pickle-ran",))


DAMAGED = {
    "truncated": b'{"format":1,"entries":{"a":{"slot":',
    "pickle": pickle.dumps(Bomb()),
    "newer": b'{"format":2,"entries":{}}',
    "list": b"[]",
    "binary": bytes(range(256)),
    "wrong types": b'{"format":1,"entries":{"a":{"slot":"soon"}}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", sorted(DAMAGED))
def test_a_file_that_cannot_be_read_is_put_aside_with_a_warning(
    tmp_path, monkeypatch, caplog, damage, kind
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / kind
    path.write_bytes(DAMAGED[damage])
    store = open_store(path)
    with caplog.at_level(logging.WARNING):
        assert store.load() == {}
    assert "cannot be read" in caplog.text
    (aside,) = tmp_path.glob(f"{kind}.damaged-*")
    assert aside.read_bytes() == DAMAGED[damage]
    assert not Path("pickle-ran").exists()
    store.save(PROGRESS, set(PROGRESS))
    assert store.load() == PROGRESS
    store.close()


def test_an_empty_file_is_a_fresh_start(tmp_path, caplog):
    path = tmp_path / "state"
    path.touch()
    assert open_store(path).load() == {}
    assert caplog.text == ""


def test_a_database_of_a_newer_version_is_put_aside(tmp_path):
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    store = open_store(path)
    assert store.load() == {}
    store.close()
    assert len(list(tmp_path.glob("state.db.damaged-*"))) == 1


def test_a_symbolic_link_stays_one(tmp_path):
    target = tmp_path / "real"
    (tmp_path / "link").symlink_to(target)
    open_store(tmp_path / "link").save(PROGRESS, set(PROGRESS))
    assert (tmp_path / "link").is_symlink()
    assert json.loads(target.read_bytes())["entries"].keys() == PROGRESS.keys()


def test_a_write_that_fails_leaves_the_old_state(tmp_path, monkeypatch):
    store = open_store(tmp_path / "state")
    store.save(PROGRESS, set(PROGRESS))

    def full(_fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.save({}, set(PROGRESS))
    assert store.load() == PROGRESS
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_folder_that_is_missing_or_in_the_way_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        open_store(tmp_path / "none" / "state")
    with pytest.raises(ConfigError, match="is a folder"):
        open_store(tmp_path)
