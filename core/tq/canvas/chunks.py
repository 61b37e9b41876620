"""One message for many calls: map, starmap, chunks.

Source: PROTOCOL 4; celery/canvas.py, `_basemap`, `chunks`.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, ClassVar

from tq.canvas.group import group
from tq.canvas.options import copy_options
from tq.canvas.plan import Plan
from tq.canvas.signature import Signature, signature

__all__ = ["chunks", "xmap", "xstarmap"]


class _Basemap(Signature):
    """Runs one task over a list, in one process, one after another."""

    task_name: ClassVar[str]

    def __init__(self, task: Any, it: Iterable[Any], **options: Any) -> None:
        """Hold the task's signature and the values."""
        app = options.pop("app", None)
        super().__init__(
            self.task_name,
            (),
            {"task": _plain(task), "it": list(it)},
            immutable=True,
            app=app,
            **options,
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make one from its dictionary."""
        named = d["kwargs"]
        return cls(named["task"], named["it"], app=app, **(d.get("options") or {}))

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "_Basemap":
        """Copy; the values are shared."""
        _, _, options = self.merge(None, None, opts)
        named = self["kwargs"]
        return type(self)(named["task"], named["it"], app=self._app, **copy_options(options))

    def __repr__(self) -> str:
        """Show the task and the values."""
        named = self["kwargs"]
        return f"[{named['task']['task']}(x) for x in {named['it']!r:.100}]"


@Signature.register_type("xmap")
class xmap(_Basemap):
    """Calls a task with each value."""

    task_name = "celery.map"


@Signature.register_type("xstarmap")
class xstarmap(_Basemap):
    """Calls a task with each value unpacked."""

    task_name = "celery.starmap"


@Signature.register_type("chunks")
class chunks(Signature):
    """Splits a list into parts of `n`, each a starmap of its own."""

    def __init__(self, task: Any, it: Iterable[Any], n: int, **options: Any) -> None:
        """Hold the task's signature, the values and the size of a part."""
        app = options.pop("app", None)
        super().__init__(
            "celery.chunks",
            (),
            {"task": _plain(task), "it": list(it), "n": n},
            immutable=True,
            app=app,
            **options,
        )

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Any = None) -> "Signature":
        """Make one from its dictionary."""
        named = d["kwargs"]
        return cls(named["task"], named["it"], named["n"], app=app, **(d.get("options") or {}))

    def clone(self, args: Any = None, kwargs: Any = None, **opts: Any) -> "chunks":
        """Copy; the values are shared."""
        _, _, options = self.merge(None, None, opts)
        named = self["kwargs"]
        return type(self)(
            named["task"], named["it"], named["n"], app=self._app, **copy_options(options)
        )

    def __call__(self, **options: Any) -> Any:
        """Send it."""
        return self.apply_async(**options)

    def apply_async(self, args: Any = None, kwargs: Any = None, **opts: Any) -> Any:
        """Send the parts as a group; returns a `GroupResult`."""
        return self.group().apply_async((), {}, **{**self.options, **opts})

    def apply(self, args: Any = None, kwargs: Any = None, **opts: Any) -> Any:
        """Run the parts eagerly."""
        return self.group().apply((), {}, **{**self.options, **opts})

    def plan(self, plan: Plan, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        """Add the parts to `plan`."""
        return self.group().plan(plan, (), {}, {**self.options, **options})

    def group(self) -> group:
        """Return the parts as a group of starmaps."""
        named = self["kwargs"]
        values = iter(named["it"])
        parts = []
        while part := list(islice(values, named["n"])):
            parts.append(xstarmap(named["task"], part, app=self._app))
        return group(parts, app=self._app)

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: Any = None) -> Any:
        """Send `it` in parts of `n`."""
        return cls(task, it, n, app=app)()


def _plain(task: Any) -> dict[str, Any]:
    """Return a task or signature as the plain dictionary that travels in the arguments."""
    return dict(signature(task))
