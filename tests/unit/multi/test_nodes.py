from pathlib import Path

import pytest

from tq.multi import default_paths, nodes
from tq.multi.nodes import Node


def make(folder: Path, command: list[str] | None = None) -> Node:
    return Node("w1@here", command or ["true"], str(folder / "%n.pid"), str(folder / "%n%I.log"))


def test_the_default_files_are_celerys_where_they_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "_RUN", tmp_path / "run" / "celery")
    monkeypatch.setattr(nodes, "_LOG", tmp_path / "log" / "celery")
    state = tmp_path / "state"
    assert default_paths(state) == (
        f"{state}/run/%n.pid", f"{state}/log/%n%I.log", True
    )  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "log").mkdir()
    pidfile, logfile, own = default_paths(state)
    assert (pidfile, logfile) == (
        f"{tmp_path}/run/celery/%n.pid",
        f"{tmp_path}/log/celery/%n%I.log",
    )
    assert not own


@pytest.mark.parametrize("content", ["", "garbage", "0", "-1", "999999999"])
def test_a_pid_file_that_nobody_holds_is_stale(tmp_path, content):
    node = make(tmp_path)
    assert (node.pid(), node.is_stale()) == (0, False)
    node.pidfile.write_text(content)
    assert (node.pid(), node.is_stale()) == (0, True)
    assert node.signal(0) == 0
    node.clear()
    assert not node.pidfile.exists()


def test_a_pid_that_went_to_another_program_is_stale(tmp_path):
    node = make(tmp_path)
    node.pidfile.write_text("1\n")  # alive, and no worker of ours
    assert (node.pid(), node.is_stale()) == (0, True)


def test_the_end_of_the_log_is_what_was_written_since(tmp_path):
    node = make(tmp_path)
    assert node.log_tail() == ""
    node.logfile.write_text("".join(f"line {n}\n" for n in range(100)))
    before = node.logfile.stat().st_size
    with node.logfile.open("a") as log:
        log.write("it broke\n")
    assert node.log_tail(before) == "it broke"
    assert node.log_tail().splitlines()[-2:] == ["line 99", "it broke"]
