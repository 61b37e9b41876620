"""A task: a function with a name, options, and ways to call it.

Source: API.md, "Task"; celery/app/task.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

from tq.app.arguments import accepts_anything, make_checker
from tq.app.current import find_task
from tq.app.host import App
from tq.app.options import TaskOptions
from tq.app.retry import (
    again_options,
    publish_retry,
    replace_task,
    retry_countdown,
    send_replacement,
)
from tq.app.traces import eager_context
from tq.canvas import Signature, chunks, signature, xmap, xstarmap
from tq.errors import MaxRetriesExceededError, OperationalError
from tq.execution.context import Context, context_of, current_context, pop, push
from tq.execution.record import state_record
from tq.results import AsyncResult, EagerResult
from tq.wire.ids import new_id

__all__ = ["Task"]

P = ParamSpec("P")
R = TypeVar("R")


class Task(TaskOptions, Generic[P, R]):
    """One registered function. `P` and `R` are its parameters and what it returns.

    Subclass it for `base=`; an instance is shared by all calls of the process, so attributes set on
    it stay from call to call.
    """

    MaxRetriesExceededError: ClassVar[type[Exception]] = MaxRetriesExceededError
    OperationalError: ClassVar[type[Exception]] = OperationalError

    # -- the function --------------------------------------------------------------------------

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the work; replaced by the decorated function, or overridden in a class."""
        raise NotImplementedError(f"task {self.name!r} defines no run()")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now, as a function."""
        token = push(self, Context(args=args, kwargs=kwargs))
        try:
            return self.run(*args, **kwargs)
        finally:
            pop(token)

    @classmethod
    def bind(cls, app: App) -> App:
        """Give a class-based task its application, and return that."""
        cls.app = app
        cls.on_bound(app)
        return app

    @classmethod
    def on_bound(cls, app: App) -> None:
        """Do something when a class is bound to an application; for overriding."""

    @property
    def request(self) -> Context:
        """The call that runs here now; an empty context outside calls."""
        return context_of(self) or Context()

    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """Enter a call by hand; for tests of tasks."""
        self.__dict__.setdefault("pushed", []).append(push(self, Context(*args, **kwargs)))

    def pop_request(self) -> None:
        """Leave the call that `push_request` entered."""
        pop(self.__dict__["pushed"].pop())

    @property
    def backend(self) -> Any:
        """The application's result backend."""
        return self.app.backend

    # -- calling -------------------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> "AsyncResult":
        """Send a call with these arguments and no options."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> "AsyncResult":
        """Send a call.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: Instead of a new one.
            producer: Ignored; Celery's signature has it.
            link: Signature or list of them, run with the result on success.
            link_error: Signature or list of them, run on failure.
            shadow: Name shown in logs and events instead of the task's.
            **options: `countdown` (seconds), `eta` (datetime), `expires` (seconds or datetime),
                `queue`, `exchange`, `routing_key`, `priority`, `serializer`, `compression`,
                `headers`, `retry`, `retry_policy`, `time_limit`, `soft_time_limit`,
                `ignore_result`, `add_to_parent`, `group_id`, `group_index`, `chord`, `chain`,
                `root_id`, `parent_id`, `reply_to`, `delivery_mode`, `expiration` (seconds),
                `argsrepr`, `kwargsrepr` (shown instead of the arguments, which may be secret).

        Raises:
            TypeError: The arguments do not fit the function.
            BrokerConnectionError: The broker did not answer.
            EncodeError: The arguments have no form in the serializer.
        """
        positional = args if type(args) is tuple or args is None else _sequence(args)
        self.check_arguments(positional or (), kwargs or {})
        if task_id is not None:
            options["task_id"] = task_id
        if link is not None:
            options["link"] = link
        if link_error is not None:
            options["link_error"] = link_error
        if shadow is not None:
            options["shadow"] = shadow
        app = self.app
        if app.conf.settings.task_always_eager:
            return self.apply(positional, kwargs, **options)
        return app.send(self.name, positional, kwargs, options, self)

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Send a call once Django's transaction in progress is committed, and not if it is not."""
        self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Send a call once Django's transaction is committed; see `apply_async`.

        Raises:
            TypeError: The arguments do not fit the function.
            ConfigError: Django is not installed.
        """
        from tq.app.django import call_after_commit  # an optional library

        positional = None if args is None else _sequence(args)
        # A wrong call must fail where it is made, not in the commit.
        self.check_arguments(positional or (), kwargs or {})
        call_after_commit(lambda: self.apply_async(positional, kwargs, **options))

    def check_arguments(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise the `TypeError` that the function would raise in the worker.

        Raises:
            TypeError: The arguments do not fit.
        """
        check = self._check
        if check is None:
            check = self._check = self._make_checker()
        check(*args, **kwargs)

    def _make_checker(self) -> Callable[..., None]:
        typed = self.typing if self.typing is not None else self.app.strict_typing
        if not typed:
            return accepts_anything
        function = getattr(self.run, "__func__", self.run)
        title = self.name.rpartition(".")[2]
        if function is not self.run:
            return make_checker(function, True, title)
        return make_checker(function, False, title)

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int | None = None,
        throw: bool | None = None,
        logfile: Any = None,
        loglevel: Any = None,
        headers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> "EagerResult":
        """Run the call here and now, as a worker would, without broker.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            link: Run with the result on success, eagerly as well.
            link_error: Run on failure.
            task_id: Instead of a new one.
            retries: How many retries came before.
            throw: Raise what the task raises; `task_eager_propagates` by default.
            logfile: For the request.
            loglevel: For the request.
            headers: For the request.
            **options: As for `apply_async`; times have no effect.
        """
        from tq.app.eager import (
            run_eagerly,
        )  # loads the runner, which only eager calls and workers need

        if throw is None:
            throw = self.app.conf.settings.task_eager_propagates
        options.update(link=link, link_error=link_error, headers=headers, retries=retries)
        context = eager_context(self, task_id or new_id(), args, kwargs, options)
        context.update(logfile=logfile, loglevel=loglevel)
        return run_eagerly(self, context, throw)

    # -- inside a call -------------------------------------------------------------------------

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Ask for this call to be run again later. Write `raise self.retry(...)`.

        Args:
            args: Other arguments than now.
            kwargs: Other keyword arguments than now.
            exc: What went wrong; raised when no retry is left.
            throw: Raise `Retry`, which ends this run; False returns it.
            eta: When, as a datetime.
            countdown: When, in seconds from now; `default_retry_delay` by default.
            max_retries: Instead of the task's.
            **options: As for `apply_async`.

        Raises:
            Retry: Always, unless `throw` is False.
            MaxRetriesExceededError: No retry is left, and no `exc` was given or is being handled.
        """
        if eta is None and countdown is None:
            countdown = self.default_retry_delay
        limit = self.max_retries if max_retries is None else max_retries
        options.update(eta=eta, countdown=countdown)
        signal = publish_retry(self, args, kwargs, exc, limit, options)
        if throw:
            raise signal
        return signal

    def retry_countdown(self, retries: int) -> float:
        """Return the delay of an automatic retry, in seconds.

        Args:
            retries: How many came before.
        """
        return retry_countdown(self, retries)

    def replace(self, sig: "Signature") -> Any:
        """Let another signature take this call's place: its id, callbacks, chain and chord.

        Raises:
            Ignore: Always, outside eager mode: this run is over.
            ConfigError: The signature is part of a chord, or an empty chain.
        """
        return replace_task(self, sig)

    def on_replace(self, sig: "Signature") -> Any:
        """Send the replacement; for overriding. Returns its value in eager mode."""
        return send_replacement(self, sig)

    def add_to_chord(self, sig: "Signature", lazy: bool = False) -> Any:
        """Add a part to the chord this call is a part of.

        Args:
            sig: The part.
            lazy: Return the signature instead of sending it.

        Raises:
            ValueError: This call is no part of a chord.
        """
        request = self.request
        if not request.chord:
            raise ValueError("the running task is no part of a chord")
        sig.set(group_id=request.group, chord=request.chord, root_id=request.root_id)
        sig.freeze()
        self.backend.add_to_chord(request.group, 1)
        return sig if lazy else sig.delay()

    def update_state(
        self,
        task_id: str | None = None,
        state: str | None = None,
        meta: Any = None,
        **kwargs: Any,
    ) -> None:
        """Store a state of your own, with data, for this call or another.

        Args:
            task_id: Another call's id.
            state: Any upper-case word.
            meta: What `AsyncResult.info` shows.
            **kwargs: More fields for the backend; ignored, Celery's signature has it.
        """
        request = self.request
        task_id = task_id or request.id
        if not task_id:
            raise ValueError("update_state needs a task_id outside a running task")
        own = request if task_id == request.id else Context()
        record = state_record(self.app, own, task_id, state or "PENDING", meta)
        self.app.backend.store([record])

    def send_event(
        self, type_: str, retry: bool = True, retry_policy: Any = None, **fields: Any
    ) -> None:
        """Send an event about this call: `uuid` is added.

        Args:
            type_: Such as `task-progress`.
            retry: Ignored; Celery's signature has it.
            retry_policy: Ignored; Celery's signature has it.
            **fields: The event's own fields.
        """
        request = self.request
        self.app.send_event(type_, hostname=request.hostname, uuid=request.id, **fields)

    def add_trail(self, result: Any) -> Any:
        """Record a result as a child of this call."""
        context = current_context()
        if self.trail and context is not None:
            context.children.append(result)
        return result

    # -- signatures ----------------------------------------------------------------------------

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> "Signature":
        """Return a signature: `task.signature((1, 2), {"k": 3}, countdown=10)`."""
        starkwargs.setdefault("app", self.app)
        return signature(self, args, *starargs, **starkwargs)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> "Signature":
        """Return a signature with these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> "Signature":
        """Return a signature with these arguments that takes no others."""
        return self.signature(args, kwargs, immutable=True)

    def signature_from_request(
        self,
        request: Context | None = None,
        args: Any = None,
        kwargs: Any = None,
        queue: str | None = None,
        **extra_options: Any,
    ) -> "Signature":
        """Return the signature that makes a call once more.

        Args:
            request: The call; the running one by default.
            args: Other arguments.
            kwargs: Other keyword arguments.
            queue: Another queue.
            **extra_options: Override the call's.
        """
        request = request or self.request
        args = request.args if args is None else args
        kwargs = request.kwargs if kwargs is None else kwargs
        options = {**again_options(request, queue), **extra_options}
        return self.signature(args, kwargs, **options)

    subtask_from_request = signature_from_request

    def map(self, it: Iterable[Any]) -> "xmap":
        """Return one call that runs the task with each value in turn."""
        return xmap(self.s(), it, app=self.app)

    def starmap(self, it: Iterable[Any]) -> "xstarmap":
        """Return one call that runs the task with each tuple of arguments in turn."""
        return xstarmap(self.s(), it, app=self.app)

    def chunks(self, it: Iterable[Any], n: int) -> "chunks":
        """Return a group of calls, each for `n` tuples of arguments."""
        return chunks(self.s(), it, n, app=self.app)

    def AsyncResult(self, task_id: str, **kwargs: Any) -> "AsyncResult":
        """Return the result of a call of this task."""
        return self.app.AsyncResult(task_id, task_name=self.name, **kwargs)

    # -- handlers, for overriding --------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Run before the function."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Run after the function returned."""

    def on_retry(
        self, exc: BaseException | None, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Run when the task asked for a retry."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Run after the function raised."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Run after success or failure, last."""

    def shadow_name(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str | None:
        """Return a name to show instead of the task's for one call, or None."""
        return None

    # -- Python's own --------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a name: the other process has its own task of it."""
        return (find_task, (self.name,))

    def __repr__(self) -> str:
        """Show name and application."""
        main = self.app.main if self.app is not None else None
        return f"<@task: {self.name} of {main or '-'}>"


def _sequence(args: Iterable[Any]) -> Any:
    if isinstance(args, list | tuple):
        return args
    if isinstance(args, str | bytes | Mapping):
        raise TypeError(f"args must be a list or tuple of arguments, not {type(args).__name__}")
    return tuple(args)
