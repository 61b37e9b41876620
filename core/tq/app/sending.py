"""Calls go out: by the plan that all calls of a task share, singly or many in a round trip.

Source: celery/app/base.py, `send_task`.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tq.app.calls import Call, SendPlan, prepare
from tq.app.connections import Connections
from tq.app.options import SENT_OPTIONS
from tq.app.producer import BATCH, Producer
from tq.app.task import Task
from tq.config import Settings
from tq.execution.context import current_context
from tq.results import AsyncResult, ResultSet

if TYPE_CHECKING:
    from tq.app.application import TQ

__all__ = ["Sending", "zone_of"]

# These follow from the settings unless the task says otherwise: the plan holds them.
_PLANNED = frozenset({"serializer", "compression", "priority"})


class Sending:
    """Sends the calls of one application. Any thread may use it."""

    def __init__(self, app: "TQ", producer: Producer, connections: Connections) -> None:
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
        plans: dict[str, SendPlan] = {}
        results: list[AsyncResult] = []
        calls: list[Call] = []
        for signature in signatures:
            name, options = signature["task"], signature["options"]
            args, kwargs = signature["args"], signature["kwargs"]
            plan = plans.get(name)
            if plan is None:
                plan = plans[name] = self._plan(name, app.tasks.get(name))
            if plan.task is not None:
                plan.task.check_arguments(args, kwargs)
                if settings.task_always_eager:
                    results.append(plan.task.apply(args, kwargs, **options))
                    continue
            call = prepare(name, args, kwargs, options, plan)
            result = AsyncResult(call.headers.id, None, name, app)
            if call.headers.ignore_result:
                result.ignored = True
            results.append(result)
            calls.append(call)
            # Sent as they are made: a generator of a million calls needs the memory of one batch.
            if len(calls) == BATCH:
                self._producer.publish(calls, settings)
                calls.clear()
        if calls:
            self._producer.publish(calls, settings)
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
