"""Options that applications add to the commands, and the signal that brings their values."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import BIN, environment
from tests.support.services import redis_server

APP = """
import json
import os

from click import Option

from tq import TQ, signals

app = TQ("proj", broker=os.environ["PEER_URL"])
app.user_options["preload"].add(Option(["--tenant"], default="nobody", help="Whose tasks."))


@signals.user_preload_options.connect
def told(signal, sender, app, options, **_):
    with open(os.environ["PEER_HEARD"], "a") as out:
        print(json.dumps([app.main, options, callable(sender)]), file=out)
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run `tq` in a folder with that application; gives what receivers of the signal heard."""
    (tmp_path / "proj.py").write_text(APP)
    heard = tmp_path / "heard"

    def run(*argv: str, url: str = "memory://") -> tuple[subprocess.CompletedProcess, list]:
        done = subprocess.run(
            [str(BIN / "tq"), *argv],
            env=environment(url, PEER_HEARD=str(heard)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        found = (
            [json.loads(line) for line in heard.read_text().splitlines()] if heard.exists() else []
        )
        return done, found

    return run


def test_a_command_takes_the_option_and_tells_its_value(run) -> None:
    done, heard = run("-A", "proj", "report", "--tenant", "acme")
    assert done.returncode == 0, done.stderr
    assert heard == [["proj", {"tenant": "acme"}, True]]


def test_the_signal_brings_the_default_too(run) -> None:
    with redis_server(tcp=True) as server:
        done, heard = run("-A", "proj", "call", "some.task", url=server.url)
    assert done.returncode == 0, done.stderr
    assert heard == [["proj", {"tenant": "nobody"}, True]]


@pytest.mark.parametrize(
    "argv", [["worker"], ["beat"], ["events"], ["inspect"], ["dead", "show"], ["purge"]]
)
def test_every_command_shows_it_in_its_help(run, argv: list[str]) -> None:
    done, heard = run("-A", "proj", *argv, "--help")
    assert done.returncode == 0, done.stderr
    assert "Whose tasks." in done.stdout
    assert heard == []


def test_the_commands_of_a_group_take_it(run) -> None:
    with redis_server(tcp=True) as server:
        done, heard = run("-A", "proj", "dead", "list", "--tenant", "acme", url=server.url)
    assert done.returncode == 0, done.stderr
    assert heard == [["proj", {"tenant": "acme"}, True]]


def test_without_an_application_the_option_is_unknown(run) -> None:
    done, heard = run("report", "--tenant", "acme")
    assert (done.returncode, heard) == (2, [])
    assert "No such option" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_application_that_does_not_import_is_one_line(run) -> None:
    done, _ = run("-A", "nowhere", "worker", "--help")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
