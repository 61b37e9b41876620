"""What an import may load, proved in a fresh interpreter rather than by reading."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

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


def imports(root: Path) -> dict[str, set[str]]:
    """Each module below `root` with those of them that it imports anywhere in its text."""
    files = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path
        for path in root.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}
    found = {}
    for name, path in modules.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                full = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {one if one in modules else node.module for one in full}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        found[name] = wanted & modules.keys() - {name}
    return found


@pytest.mark.parametrize("package", ["core/tq", "tqconsole"])
def test_no_cycle_of_modules_deferred_or_for_types_alone(package: str):
    graph = imports(Path(__file__).parents[2] / package)
    assert len(graph) > 50
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import one another: {' -> '.join(error.args[1])}")
