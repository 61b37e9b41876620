"""The files in core/docs/deployment: they parse, tq takes their commands, their graces suffice."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tqconsole.cli.main import cli, run

FOLDER = Path(__file__).parents[2] / "core" / "docs" / "deployment"
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))
SHUTDOWN = 5.0  # what a worker takes for its services once no task runs any more


def taken(argv: list[str]) -> dict[str, Any]:
    """The parameters that tq reads from a command line; raises for what it does not take."""
    program, *rest = argv
    assert Path(program).name == "tq"
    with cli.make_context("tq", rest) as ctx:
        name, command, left = cli.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        with command.make_context(name, left, parent=ctx) as found:
            return {"command": name, **found.params}


def shown(argv: list[str], capsys) -> list[dict[str, Any]]:
    """The workers that a `tq multi` command is about."""
    assert argv[1] == "multi"
    assert run(["multi", "show", *argv[3:]]) == 0
    lines = capsys.readouterr().out.splitlines()
    python = [sys.executable, "-m", "tqconsole"]
    assert all(shlex.split(line)[:3] == python for line in lines)
    return [taken(["tq", *shlex.split(line)[3:]]) for line in lines]


def suffices(params: dict[str, Any], grace: float) -> bool:
    """Whether a worker may end in order within a grace period."""
    assert params["soft_time_limit"] is None or params["soft_time_limit"] < params["time_limit"]
    return grace >= params["time_limit"] + SHUTDOWN


def unit(path: Path) -> configparser.ConfigParser:
    class Keys(configparser.ConfigParser):
        optionxform = staticmethod(str)

    found = Keys(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
    found.read(path)
    return found


def command_of(service: Any, key: str) -> list[str]:
    """As systemd would start it: `%%` is a percent sign, `%i` the instance."""
    text = re.sub("%([%i])", lambda match: {"%": "%", "i": "images"}[match[1]], service[key])
    return shlex.split(text)


def test_there_are_files_to_look_at():
    assert [path.name for path in UNITS] == [
        "tq-beat.service", "tq-multi.service", "tq-worker@.service",
    ]  # fmt: skip
    assert [path.name for path in MANIFESTS] == ["beat.yaml", "worker.yaml"]


def test_the_workers_unit():
    service = unit(FOLDER / "systemd" / "tq-worker@.service")["Service"]
    params = taken(command_of(service, "ExecStart"))
    assert (params["command"], params["hostname"]) == ("worker", "images@%h")
    assert not params["detach"], "systemd must see the process itself"
    assert suffices(params, float(service["TimeoutStopSec"]))
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")


def test_the_beats_unit():
    service = unit(FOLDER / "systemd" / "tq-beat.service")["Service"]
    params = taken(command_of(service, "ExecStart"))
    assert (params["command"], params["pidfile"]) == ("beat", "")
    assert params["schedule"].startswith(f"/var/lib/{service['StateDirectory']}/")


def test_the_fleets_unit(capsys):
    service = unit(FOLDER / "systemd" / "tq-multi.service")["Service"]
    start, stop, reload = (
        command_of(service, key) for key in ("ExecStart", "ExecStop", "ExecReload")
    )
    assert (start[2], stop[2], reload[2]) == ("start", "stopwait", "restart")
    assert reload[3:] == start[3:]
    workers = shown(start, capsys)
    assert {params["pidfile"] for params in shown(stop, capsys)} == {
        params["pidfile"] for params in workers
    }
    assert [params["queues"] for params in workers] == ["images", "default", "default"]
    for params in workers:
        assert suffices(params, float(service["TimeoutStopSec"]))
        assert Path(params["pidfile"]).parent == Path("/run", service["RuntimeDirectory"])
        assert Path(params["logfile"]).parent == Path("/var/log", service["LogsDirectory"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path):
    program = tmp_path / "tq"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for path in UNITS:
        text = path.read_text().replace("/srv/proj/.venv/bin/tq", str(program))
        text = re.sub("^(User|Group)=.*$", r"\1=root", text, flags=re.MULTILINE)
        copy = tmp_path / path.name
        copy.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(copy)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        complaints = [line for line in done.stderr.splitlines() if str(copy) in line]
        assert (done.returncode, complaints) == (0, [])


def test_supervisors_programs():
    found = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    found.read(FOLDER / "supervisor" / "tq.conf")
    commands = {}
    for name in ("tq-worker", "tq-beat"):
        section = found[f"program:{name}"]
        text = section["command"].replace("%(process_num)d", "0").replace("%%", "%")
        commands[name] = taken(shlex.split(text))
        assert section["stopsignal"] == "TERM"
    worker = found["program:tq-worker"]
    assert commands["tq-worker"]["hostname"] == "worker0@%h"
    assert suffices(commands["tq-worker"], worker.getfloat("stopwaitsecs"))
    assert not worker.getboolean("stopasgroup"), "the TERM is for the worker alone"
    assert commands["tq-beat"]["pidfile"] == ""


def test_the_containers_command():
    text = (FOLDER / "container" / "Dockerfile").read_text()
    lines = dict(
        re.findall(r"^(ENTRYPOINT|CMD) (.*)$", text, re.MULTILINE)
    )  # in list form, else this fails
    params = taken([*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])])
    assert params["command"] == "worker"
    (grace,) = re.findall(r"--stop-timeout (\d+)", text)
    assert suffices(params, float(grace))
    beat = re.search(r"proj (beat .*)$", text, re.MULTILINE)
    assert taken(["tq", *shlex.split(beat[1])])["command"] == "beat"
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_manifests(path):
    (manifest,) = yaml.safe_load_all(path.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("apps/v1", "Deployment")
    template = manifest["spec"]["template"]
    assert manifest["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    pod = template["spec"]
    (container,) = pod["containers"]
    assert all(isinstance(word, str) for word in container["command"])
    params = taken(container["command"])
    assert params["command"] == path.stem
    if path.stem == "worker":
        assert suffices(params, pod["terminationGracePeriodSeconds"])
    probes = [value for key, value in container.items() if key.endswith("Probe")]
    assert probes
    for probe in probes:
        shell, option, script = probe["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
        assert script.startswith("exec tq inspect ping ")
        asked = taken(shlex.split(script.removeprefix("exec ")))
        # The pod's name, as the shell and tq's %h know it.
        assert asked["destination"] == (params["hostname"].replace("%h", "$HOSTNAME"),)
        assert probe["timeoutSeconds"] > asked["timeout"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 120
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_a_command_that_tq_does_not_take_is_seen():
    with pytest.raises(click.UsageError):
        taken(["tq", "worker", "--no-such-option"])
