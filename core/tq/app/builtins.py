"""The tasks that every worker has.

Source: celery/app/builtins.py; PROTOCOL 4.
"""

from collections.abc import Sequence
from typing import Any

from tq import canvas
from tq.app.host import App
from tq.app.unlock import unlock_chord
from tq.canvas import maybe_signature

__all__ = ["register_builtins"]


def register_builtins(app: App) -> None:
    """Give `app` its `celery.*` tasks."""
    _register_results(app)
    _register_maps(app)
    _register_canvas(app)


def _register_results(app: App) -> None:
    @app.task(name="celery.accumulate", shared=False)
    def accumulate(*args: Any, **kwargs: Any) -> Any:
        """Return the arguments; the end of a group that stands where a task may stand."""
        index = kwargs.get("index")
        return args[index] if index is not None else args

    @app.task(name="celery.backend_cleanup", shared=False)
    def backend_cleanup() -> None:
        """Remove expired results, in backends that do not by themselves."""
        cleanup = getattr(app.backend, "cleanup", None)
        if cleanup is not None:
            cleanup()

    @app.task(name="celery.chord_unlock", shared=False, bind=True, max_retries=None)
    def chord_unlock(
        self: Any,
        /,
        group_id: str,
        callback: Any,
        interval: float | None = None,
        max_retries: int | None = None,
        result: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """Start a chord's body once every part is done, where parts cannot be counted."""
        unlock_chord(self, group_id, callback, interval, max_retries, result)


def _register_maps(app: App) -> None:
    @app.task(name="celery.map", shared=False)
    def xmap(task: Any, it: Sequence[Any]) -> list[Any]:
        """Call a task with each value, here."""
        function = maybe_signature(task, app=app).type
        return [function(item) for item in it]

    @app.task(name="celery.starmap", shared=False)
    def xstarmap(task: Any, it: Sequence[Any]) -> list[Any]:
        """Call a task with each tuple of arguments, here."""
        function = maybe_signature(task, app=app).type
        return [function(*item) for item in it]

    @app.task(name="celery.chunks", shared=False)
    def chunks(task: Any, it: Sequence[Any], n: int) -> Any:
        """Send the parts of a list, each as one call."""
        return canvas.chunks(maybe_signature(task, app=app), it, n, app=app).apply_async()


def _register_canvas(app: App) -> None:
    @app.task(name="celery.group", shared=False, bind=True)
    def group(self: Any, /, tasks: Sequence[Any], **options: Any) -> Any:
        """Send the members of a group."""
        members = [maybe_signature(task, app=app) for task in tasks]
        return canvas.group(members, app=app).apply_async()

    @app.task(name="celery.chain", shared=False, bind=True)
    def chain(self: Any, /, *args: Any, tasks: Sequence[Any] = (), **options: Any) -> Any:
        """Send a chain."""
        steps = [maybe_signature(task, app=app) for task in tasks]
        return canvas.chain(*steps, app=app).apply_async(args)

    @app.task(name="celery.chord", shared=False, bind=True)
    def chord(self: Any, /, header: Any, body: Any, partial_args: Any = (), **options: Any) -> Any:
        """Send a chord's header."""
        named = options.pop("kwargs", None) or {}
        parts = maybe_signature(header, app=app)
        following = maybe_signature(body, app=app)
        return canvas.chord(parts, following, app=app).apply_async(partial_args, named)
