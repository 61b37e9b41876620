import os

import pytest

from tq import daemon
from tq.daemon import PidFile, PidFileTaken, pid_of
from tq.errors import ConfigError


def test_a_pid_file_is_held_while_its_process_lives(tmp_path):
    path = tmp_path / "p.pid"
    assert pid_of(path) == (0, False)
    held = PidFile(path)
    assert held.acquire() is False
    assert pid_of(path) == (os.getpid(), True)
    with pytest.raises(PidFileTaken, match=str(os.getpid())) as caught:
        PidFile(path).acquire()
    assert caught.value.pid == os.getpid()
    held.release()
    held.release()
    assert not path.exists()


def test_a_file_left_behind_is_taken_over_and_said(tmp_path):
    path = tmp_path / "p.pid"
    path.write_text("1\n")
    assert pid_of(path) == (1, False)
    held = PidFile(path)
    assert held.acquire() is True
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_a_file_that_somebody_replaced_is_not_removed(tmp_path):
    path = tmp_path / "p.pid"
    held = PidFile(path)
    held.acquire()
    path.unlink()
    path.write_text("77\n")
    held.release()
    assert path.read_text() == "77\n"


def test_a_symbolic_link_is_refused(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "p.pid").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError):
        PidFile(tmp_path / "p.pid").acquire()
    assert (tmp_path / "target").read_text() == "precious"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none"):
        PidFile(tmp_path / "none" / "p.pid").acquire()


@pytest.mark.parametrize(("text", "mask"), [("022", 0o22), ("0", 0), ("777", 0o777), (None, None)])
def test_a_umask_is_octal(text, mask):
    assert daemon.read_umask(text) == mask


@pytest.mark.parametrize("text", ["999", "-1", "rw", "", "7777"])
def test_a_umask_that_is_none_is_an_error(text):
    with pytest.raises(ConfigError, match="--umask"):
        daemon.read_umask(text)


@pytest.mark.parametrize(
    ("uid", "gid"), [("no-such-user-here", None), (None, "no-such-group-here")]
)
def test_a_user_or_group_that_is_not_there_is_an_error(uid, gid):
    with pytest.raises(ConfigError, match="there is no"):
        daemon.become(uid, gid)


def test_nothing_is_changed_when_nothing_is_asked():
    before = os.getuid(), os.getgid(), os.getgroups()
    daemon.become(None, None)
    assert (os.getuid(), os.getgid(), os.getgroups()) == before
