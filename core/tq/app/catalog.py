"""The tasks of one application: their class, how they come in, and when they are complete.

Source: celery/app/base.py, `task`, `register_task`, `finalize`.
"""

import threading
from collections.abc import Callable
from typing import Any

from tq.app.builtins import register_builtins
from tq.app.current import shared_tasks
from tq.app.define import allow_exceptions, annotate, make_task
from tq.app.host import App
from tq.app.modules import import_modules
from tq.app.registry import TaskRegistry
from tq.app.task import Task

__all__ = ["Catalog"]


class Catalog:
    """Defines, registers and annotates tasks. Any thread may use it.

    Attributes:
        registry: The tasks by name.
        finalized: Built-in and shared tasks are among them.
    """

    def __init__(self, app: App, task_class: Any) -> None:
        """Start empty.

        Args:
            app: The application.
            task_class: Class of its tasks, or its path; None for `Task`.
        """
        self._app = app
        self._given_class = task_class
        self._task_class: type[Task[..., Any]] | None = None
        self._lock = threading.RLock()
        self.registry = TaskRegistry()
        self.finalized = False

    @property
    def task_class(self) -> type[Task[..., Any]]:
        """The class of tasks that name no other, bound to the application."""
        if self._task_class is None:
            given = self._given_class
            if isinstance(given, str):
                module, _, name = given.replace(":", ".").rpartition(".")
                given = getattr(import_modules([module])[0], name)
            root = given or Task
            self._task_class = type(root.__name__, (root,), {"app": self._app, "abstract": True})
        return self._task_class

    @task_class.setter
    def task_class(self, cls: type[Task[..., Any]]) -> None:
        self._task_class = cls

    def define(self, function: Callable[..., Any], options: dict[str, Any]) -> Any:
        """Make a task of a function, or return the one of that name."""
        if isinstance(function, Task):
            # Stacked decorators of two applications: each gets its own task of the function.
            function = function.__wrapped__  # type: ignore[attr-defined] # set by make_task
        base = options.pop("base", None)
        # Celery gives each task to every application of the process; here only shared_task does.
        options.pop("shared", None)
        name = options.get("name") or self._app.gen_task_name(
            getattr(function, "__name__", type(function).__name__), function.__module__
        )
        with self._lock:
            if name in self.registry:
                # The same module imported again under another name: the first stays, so that
                # references to it keep working.
                return self.registry[name]
            task = make_task(self._app, function, base, options)
            self.registry.register(task)
        return task

    def add(self, task: Any, options: dict[str, Any]) -> Any:
        """Register a class-based task, given as a class or an object."""
        if isinstance(task, type):
            task = task()
        task.app = self._app
        for name, value in options.items():
            setattr(task, name, value)
        if not task.name:
            kind = type(task)
            task.name = self._app.gen_task_name(kind.__name__, kind.__module__)
        self.registry.register(task)
        annotate(task, self._app.conf.settings.task_annotations)
        allow_exceptions(task, type(task).__module__)
        type(task).on_bound(self._app)
        return task

    def finalize(self, *, allowed: bool) -> bool:
        """Register built-in and shared tasks, once.

        Args:
            allowed: Whether this may happen now.

        Returns:
            False when it had been done before.

        Raises:
            RuntimeError: It is not allowed.
        """
        with self._lock:
            if self.finalized:
                return False
            if not allowed:
                raise RuntimeError("the application is not finalized: call app.finalize() first")
            # Set first: registering tasks reads `tasks`.
            self.finalized = True
            register_builtins(self._app)
            for register in shared_tasks():
                register(self._app)
            annotations = self._app.conf.settings.task_annotations
            for task in self.registry.values():
                annotate(task, annotations)
            return True
