"""Calls go out: by the plan that all calls of a task share, singly or many in a round trip.

Source: celery/app/base.py, `send_task`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tq.app.batch import Batch
from tq.app.calls import SendPlan, prepare
from tq.app.connections import Connections
from tq.app.forms import Form, form_for
from tq.app.host import App
from tq.app.options import SENT_OPTIONS
from tq.app.producer import Producer
from tq.app.task import Task
from tq.config import Settings
from tq.execution.context import current_context
from tq.results import AsyncResult, ResultSet

__all__ = ["Sending", "zone_of"]

# These follow from the settings unless the task says otherwise: the plan holds them.
_PLANNED = frozenset({"serializer", "compression", "priority"})


class Sending:
    """Sends the calls of one application. Any thread may use it."""

    def __init__(self, app: App, producer: Producer, connections: Connections) -> None:
        """Publish through `producer`, with results to `connections.reply_to`."""
        self._app = app
        self._connections = connections
        self._producer = producer
        # Grows with the names of the program's tasks, not with the calls.
        self._foreign_plans: dict[str, SendPlan] = {}

    def send(
        self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any
    ) -> AsyncResult:
        """Send one call; `task` is None for a name that is not registered here."""
        plan = self._plan(name, task)
        call = prepare(name, args, kwargs, options, plan)
        self._producer.publish((call,), plan.settings, options)
        result = AsyncResult(call.headers.id, None, name, self._app)
        result.ignored = bool(call.headers.ignore_result)
        if current_context() is not None and options.get("add_to_parent", True):
            self._app.add_trail(result)
        return result

    def send_many(self, signatures: Iterable[Any]) -> ResultSet:
        """Send simple signatures, `BATCH` of them in a round trip."""
        app = self._app
        settings = app.conf.settings
        may_fill = not settings.task_always_eager and self._producer.takes_openings()
        ways: dict[str, tuple[SendPlan, Form | None]] = {}
        results: list[AsyncResult] = []
        batch = Batch(self._producer, settings)
        for signature in signatures:
            name, options = signature["task"], signature["options"]
            args, kwargs = signature["args"], signature["kwargs"]
            way = ways.get(name)
            if way is None:
                plan = self._plan(name, app.tasks.get(name))
                way = ways[name] = (plan, form_for(name, plan) if may_fill else None)
            plan, form = way
            if plan.task is not None:
                plan.task.check_arguments(args, kwargs)
                if settings.task_always_eager:
                    results.append(plan.task.apply(args, kwargs, **options))
                    continue
            filled = form.fill(args, kwargs, options) if form is not None else None
            if form is not None and filled is not None:
                result = AsyncResult(filled[0], None, name, app)
                result.ignored = form.ignore_result
                batch.add_filled(form, filled[1])
            else:
                call = prepare(name, args, kwargs, options, plan)
                result = AsyncResult(call.headers.id, None, name, app)
                result.ignored = bool(call.headers.ignore_result)
                batch.add(call)
            results.append(result)
        batch.send()
        return ResultSet(results, app=app)

    def _plan(self, name: str, task: Any) -> SendPlan:
        """Return what all calls of a task share, made anew when the settings were written since."""
        settings = self._app.conf.settings
        plan: SendPlan | None = task.send_plan if task else self._foreign_plans.get(name)
        if (
            plan is not None
            and plan.settings is settings
            and plan.reply_to is self._connections.address
        ):
            return plan
        plan = self._make_plan(settings, task)
        if task:
            task.send_plan = plan
        else:
            self._foreign_plans[name] = plan
        return plan

    def _make_plan(self, settings: Settings, task: Any) -> SendPlan:
        own: dict[str, Any] = {}
        shadow = None
        if task is not None:
            own = {name: getattr(task, name) for name in SENT_OPTIONS if name not in _PLANNED}
            own = {name: value for name, value in own.items() if value is not None}
            if type(task).shadow_name is not Task.shadow_name:
                shadow = task.shadow_name
        return SendPlan(
            settings=settings,
            router=self._app.router,
            task=task,
            options=own,
            ignore_result=None if task is None else bool(task.ignore_result),
            shadow=shadow,
            reply_to=self._connections.reply_to,
            timezone=zone_of(settings),
            insecure=settings.allow_insecure_serializers,
            serializer=(task.serializer if task else None) or settings.task_serializer,
            compression=(task.compression if task else None) or settings.task_compression,
            default_priority=task.priority if task else settings.task_default_priority,
            timelimit=(task.time_limit, task.soft_time_limit) if task else (None, None),
        )


def zone_of(settings: Settings) -> tzinfo:
    """Return the zone that the settings name; UTC by default."""
    return ZoneInfo(settings.timezone) if settings.timezone else UTC
