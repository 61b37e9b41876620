"""What an import may load, proved in a fresh interpreter rather than by reading."""

import subprocess
import sys

import pytest

HEAVY = {"redis", "kombu", "click", "asyncio", "ssl", "textual", "rich", "multiprocessing"}


def loaded_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.mark.timeout(120)
def test_importing_tq_loads_nothing_heavy():
    assert loaded_by("import tq") & HEAVY == set()


@pytest.mark.timeout(120)
def test_defining_a_task_loads_nothing_heavy():
    program = "import tq\napp = tq.TQ('proj')\n@app.task\ndef add(x, y): return x + y"
    assert loaded_by(program) & (HEAVY - {"asyncio"}) == set()


@pytest.mark.timeout(120)
def test_the_command_line_does_not_load_the_console():
    loaded = loaded_by("import tqconsole.cli.main")
    assert loaded & {"textual", "rich", "kombu", "redis"} == set()
