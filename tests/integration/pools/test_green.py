"""The conformance suite for green pools, each in a process of its own that is patched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

SUITE = Path(__file__).with_name("test_conformance.py")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_green_pool_conforms(library: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.support.green", library, str(SUITE), "-k", library, "-q"]
    argv += ["-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp", str(tmp_path / "green")]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, "GREEN_POOL": library, "PYTHONPATH": f"{ROOT / 'core'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
