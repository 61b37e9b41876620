"""What tq's source really does with a name: reads it, or sends it. A name merely accepted is none.

The source is parsed, not imported, so a setting counts as read only where an expression reads it
from a settings record, and an option only where one looks it up among a call's options.
"""

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tq.app.options import SENT_OPTIONS, TaskOptions
from tqconsole.cli.worker import command as worker_command

__all__ = ["Evidence", "tq_worker_options"]

_ROOT = Path(__file__).parents[3]
# Where names are declared; being listed there proves nothing.
_DECLARING = (
    "core/tq/app/options.py",
    "core/tq/config/aliases.py",
    "core/tq/config/checks.py",
    "core/tq/config/settings.py",
    "core/tq/signals.py",
)
_SETTINGS = frozenset({"settings", "_settings", "conf"})
_LOOKUPS = frozenset({"get", "pop", "getattr", "_setting", "_value"})
_WORKER = ("core/tq/worker/", "core/tq/app/", "tqconsole/cli/")


class _Uses(ast.NodeVisitor):
    """Collects from one module, as pairs of what a name is read from and the name."""

    def __init__(self) -> None:
        self.attributes: set[tuple[str, str]] = set()
        self.items: set[tuple[str, str]] = set()
        self.lookups: set[tuple[str, str]] = set()
        self.texts: set[str] = set()
        self.endings: set[str] = set()
        self.handed_on: set[tuple[str, str]] = set()
        self.parameters: set[tuple[str, str]] = set()
        self.names: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self.attributes.add((_last(node.value), node.attr))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and _last(getattr(value, "value", None)) in _SETTINGS:
                assert isinstance(value, ast.Attribute)
                self.handed_on.add((value.attr, str(key.value)))
            else:
                self.visit(value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.add(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Constant):
            self.items.add((_last(node.value), str(node.slice.value)))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = _last(node.func)
        for argument in node.args:
            if called == "getattr" and isinstance(argument, ast.JoinedStr):
                self._note_ending(node.args[0], argument)
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                self.lookups.add((called, argument.value))
                if isinstance(node.func, ast.Attribute) and called in _LOOKUPS:
                    self.items.add((_last(node.func.value), argument.value))
                elif called in _LOOKUPS and node.args[0] is not argument:
                    self.items.add((_last(node.args[0]), argument.value))
        self.generic_visit(node)

    def _note_ending(self, record: ast.expr, name: ast.JoinedStr) -> None:
        """Note a family of settings: `getattr(conf, f"{kind}_queue_ttl")`."""
        end = name.values[-1]
        if _last(record) in _SETTINGS and isinstance(end, ast.Constant):
            self.endings.add(str(end.value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        loaded = {
            inner.id
            for statement in node.body
            for inner in ast.walk(statement)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
        }
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        self.parameters |= {(node.name, one.arg) for one in arguments if one.arg in loaded}
        self.generic_visit(node)


def _last(node: Any) -> str:
    """Return the last name of an expression such as `self.app.conf.settings`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return _last(node.func)
    return node.id if isinstance(node, ast.Name) else ""


class Evidence:
    """The uses of names in tq's modules, by path below the project."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._uses: dict[str, _Uses] = {}
        for folder in ("core/tq", "tqconsole"):
            for path in sorted((root / folder).rglob("*.py")):
                place = path.relative_to(root).as_posix()
                if not place.startswith(_DECLARING):
                    self._uses[place] = uses = _Uses()
                    uses.visit(ast.parse(path.read_text(encoding="utf-8")))

    def _in(self, *prefixes: str) -> Iterator[_Uses]:
        return (uses for place, uses in self._uses.items() if place.startswith(prefixes))

    def reads_setting(self, name: str) -> bool:
        """Tell whether a setting is read: by itself, or as a task option that stands for it."""
        for uses in self._uses.values():
            if any((record, name) in uses.attributes for record in _SETTINGS):
                return True
            if any((lookup, name) in uses.lookups for lookup in ("get", "_setting")):
                return True
            if name.endswith(tuple(uses.endings)):
                return True
            if any(self._looks_up(key) for setting, key in uses.handed_on if setting == name):
                return True
        return any(self.reads_task_option(option) for option in self._standing_for.get(name, ()))

    def _looks_up(self, key: str) -> bool:
        """Tell whether anybody asks for what a table of options has under `key`."""
        return any(key in uses.texts for uses in self._uses.values())

    @cached_property
    def _standing_for(self) -> dict[str, list[str]]:
        """Which task options show a setting's value unless they are given."""
        found: dict[str, list[str]] = {}
        for option, value in vars(TaskOptions).items():
            setting = getattr(value, "setting", None)
            if isinstance(setting, str):
                found.setdefault(setting, []).append(option)
        return found

    def reads_task_option(self, name: str) -> bool:
        """Tell whether an attribute of a task is read, or an option of the decorator is taken."""
        if name in SENT_OPTIONS or any(
            ("task", name) in uses.attributes | uses.items for uses in self._uses.values()
        ):
            return True
        if any(("self", name) in uses.attributes for uses in self._in("core/tq/app/task.py")):
            return True
        for uses in self._in("core/tq/app/"):
            if ("options", name) in uses.items or ("wrap", name) in uses.parameters:
                return True
        return False

    def reads_call_option(self, name: str) -> bool:
        """Tell whether an option of `apply_async` is looked up, or named and then used."""
        for uses in self._in("core/tq/app/"):
            if ("options", name) in uses.items:
                return True
            if {("apply_async", name), ("send_task", name), ("send", name)} & uses.parameters:
                return True
        return False

    def reads_worker_option(self, name: str) -> bool:
        """Tell whether a value of the command line is taken further than click's declaration."""
        return any(
            name in uses.names or name in {text for _, text in uses.items | uses.attributes}
            for uses in self._in(*_WORKER)
        )

    def sends_signal(self, name: str) -> bool:
        """Tell whether a signal is sent anywhere."""
        return any(("signals", name) in uses.attributes for uses in self._uses.values())


def tq_worker_options() -> dict[str, tuple[str, ...]]:
    """Return the options of `tq worker` with their spellings."""
    return {
        str(option.name): (*option.opts, *option.secondary_opts) for option in worker_command.params
    }
