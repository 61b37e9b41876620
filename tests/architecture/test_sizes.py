"""Modules stay small enough to be read in one go."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 500


def test_no_module_is_over_five_hundred_lines():
    modules = [*ROOT.glob("core/tq/**/*.py"), *ROOT.glob("tqconsole/**/*.py")]
    assert modules
    sizes = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in modules}
    assert {p: n for p, n in sizes.items() if n > LIMIT} == {}


def test_nothing_names_a_place_outside_the_project():
    shared = "../" + "shared"
    for path in [*ROOT.glob("core/**/*"), *ROOT.glob("tqconsole/**/*"), *ROOT.glob("*.md")]:
        if path.suffix in {".py", ".md", ".lua", ".tcss", ".toml"}:
            assert shared not in path.read_text(), path
