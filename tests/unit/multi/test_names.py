import json
import shlex
import sys
from pathlib import Path

import pytest

from tq.errors import ConfigError
from tq.multi import Style, make_nodes, parse, plan
from tq.multi.names import expand

FLAGS = frozenset({"-E", "--purge"})
FIXTURES = Path(__file__).parents[2] / "fixtures" / "cli"
HOST = Style(host="example-host")


def plans(*argv: str, style: Style = HOST):
    return plan(parse(argv, FLAGS), style)


def options(*argv: str) -> dict[str, dict]:
    return {made.name.partition("@")[0]: made.options for made in plans(*argv)}


def recorded(name: str) -> tuple[list[str], list[str]]:
    """Arguments behind the verb, and the lines that Celery printed."""
    given = json.loads((FIXTURES / f"multi_{name}.json").read_text())
    argv = given["argv"]
    return argv[argv.index("multi") + 2 :], given["stdout"].splitlines()


def test_names_are_those_that_celery_prints():
    argv, lines = recorded("names")
    assert [made.name for made in plans(*argv)] == lines


def test_templates_expand_as_with_celery():
    (template, *argv), lines = recorded("expand")
    assert [expand(template, made.name) for made in plans(*argv)] == lines


def test_commands_have_celerys_options_in_celerys_order():
    argv, lines = recorded("show")
    nodes = make_nodes(
        plans(*argv), "/var/run/celery/%n.pid", "/var/log/celery/%n%I.log", before={"-A": "tasks"}
    )
    for node, line in zip(nodes, lines, strict=True):
        theirs = shlex.split(line)
        assert theirs.pop() == "--executable=/venv/bin/python"
        assert node.command == [sys.executable, "-m", "tqconsole", *theirs[3:]]


def test_options_are_aimed_at_ranges_lists_and_names():
    made = options(
        "10", "-A", "proj", "-l", "INFO", "-Q:1-3", "images,video", "-Q:4,5", "data",
        "-Q", "default", "-L:4,5", "debug",
    )  # fmt: skip
    assert len(made) == 10
    assert {made[f"celery{n}"]["-Q"] for n in (1, 2, 3)} == {"images,video"}
    assert {made[f"celery{n}"]["-Q"] for n in (4, 5)} == {"data"}
    assert {made[f"celery{n}"]["-Q"] for n in range(6, 11)} == {"default"}
    assert made["celery4"]["-L"] == "debug"
    assert "-L" not in made["celery1"]


def test_options_are_aimed_at_names_and_at_their_places():
    made = options("images", "video@other", "data", "-c:images,3", "7", "-c:2", "1", "-c", "4")
    assert [made[name]["-c"] for name in ("images", "video", "data")] == ["7", "1", "7"]


def test_the_level_option_of_celerys_scripts_is_the_log_level():
    (node,) = make_nodes(plans("1", "-l", "INFO", "-L:1", "debug"), "%n.pid", "%n.log")
    assert node.command[4:7] == ["--detach", "-l", "debug"]


def test_a_flag_takes_no_name_for_its_value():
    made = options("-E", "w1", "--purge", "w2", "-c", "2", "--loglevel=INFO")
    assert set(made) == {"w1", "w2"}
    assert made["w1"] == {"-E": None, "--purge": None, "-c": "2", "--loglevel": "INFO"}


def test_long_options_are_aimed_too():
    made = options("a", "b", "--concurrency:a=3", "--pool:b", "solo")
    assert made == {"a": {"--concurrency": "3"}, "b": {"--pool": "solo"}}


def test_what_follows_two_dashes_goes_to_every_node():
    (node,) = make_nodes(plans("w", "-c", "2", "--", "-n", "x y"), "p", "l")
    assert node.command[-2:] == ["-n", "x y"]


@pytest.mark.parametrize(
    ("style", "names"),
    [
        (Style(host="h", range_prefix="worker"), ["worker1@h", "worker2@h"]),
        (Style(host="h", suffix="other"), ["celery1@other", "celery2@other"]),
        (Style(host="h", suffix='""'), ["celery1", "celery2"]),
        (Style(host="h.example.org", suffix="%n"), ["celery1@h", "celery2@h"]),
    ],
)
def test_styles_of_names(style, names):
    assert [made.name for made in plans("2", style=style)] == names


def test_names_may_have_hosts_codes_and_a_prefix():
    made = plans("a", "b@there", "c@%h", style=Style(host="h.org", prefix="pre-"))
    assert [one.name for one in made] == ["pre-a@h.org", "b@there", "c@h.org"]


def test_commands_with_spaces_can_be_pasted():
    (node,) = make_nodes(
        plans("my node", "-A", "my proj", "--workdir=/a b", "-Q", "it's"),
        "/x y/%n.pid",
        "/z/%n.log",
    )
    assert shlex.split(node.shell) == node.command
    assert node.name == "my node@example-host"
    assert node.command[3:6] == ["-A", "my proj", "--workdir=/a b"]
    assert node.pidfile == Path("/x y/my node.pid")


def test_files_expand_the_node_and_leave_the_pool_process_to_the_worker():
    (node,) = make_nodes(plans("w", "--pidfile=/r/%h.pid", "--logfile=/l/%n%I-%d%%.log"), "p", "l")
    assert f"--pidfile=/r/{node.name}.pid" in node.command
    assert "--logfile=/l/w%I-example-host%%.log" in node.command
    assert node.logfile == Path("/l/w-example-host%.log")


def test_another_program_may_be_run():
    (node,) = make_nodes(plans("w", "--executable=/usr/bin/py", "--cmd=worker -E"), "p", "l")
    assert node.command[:6] == ["/usr/bin/py", "-m", "tqconsole", "worker", "-E", "--detach"]


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "which nodes"),
        (["-c", "2"], "which nodes"),
        (["0"], "no number of nodes"),
        (["99999999"], "no number of nodes"),
        (["a", "a"], "named twice: a@"),
        (["3", "-c:4", "1"], "not between 1 and 3"),
        (["3", "-c:0-2", "1"], "not between 1 and 3"),
        (["3", "-c:3-1", "1"], "not between 1 and 3"),
        (["images", "-c:imges", "1"], "did you mean 'images'"),
        (["images", "-c:", "1"], "which nodes"),
    ],
)
def test_nodes_that_make_no_sense_are_one_error(argv, problem):
    with pytest.raises(ConfigError, match=problem):
        plans(*argv)
