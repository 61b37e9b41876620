"""A real Django project: discovery, settings with a namespace, calls after the commit, its models."""

import json
import sqlite3
import subprocess
import sys

import pytest

from tests.support.processes import BIN, ROOT, Process, environment
from tests.support.services import redis_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def test_a_django_project_runs_its_tasks(tmp_path):
    database = tmp_path / "shop.sqlite"
    env = {"SHOP_DATABASE": str(database), "DJANGO_SETTINGS_MODULE": "tests.support.shop.settings"}
    with redis_server() as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.shop.place_orders"],
            env=environment(server.url, **env), cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["after rollback"] == told["before commit"] == 0
        assert "order_id" in told["wrong call"]
        assert told["after commit"] == 1
        argv = [str(BIN / "tq"), "worker", "-A", "tests.support.shop.app", "-c", "2", "-l", "INFO"]
        with Process(argv, server.url, **env) as worker:
            worker.wait_for("tests.support.shop.orders.tasks.pack")
            worker.wait_for("succeeded")

            def packed() -> bool:
                with sqlite3.connect(database) as rows:
                    query = "select packed from orders_order where id = ?"
                    found = rows.execute(query, (told["order"],)).fetchone()
                rows.close()
                return bool(found and found[0])

            eventually(packed, within=10)


def test_a_project_that_does_not_start_is_one_clear_error(tmp_path):
    env = {"SHOP_DATABASE": "x", "DJANGO_SETTINGS_MODULE": "tests.support.nothing"}
    with redis_server() as server:
        done = subprocess.run(
            [str(BIN / "tq"), "worker", "-A", "tests.support.shop.app"],
            env=environment(server.url, **env), cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode != 0
    assert "tests.support.nothing" in done.stderr
    assert "Traceback" not in done.stderr
