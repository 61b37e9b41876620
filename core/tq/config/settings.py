"""All settings as one frozen record, under Celery's lower-case names.

Defaults are Celery's, except: late acknowledgement, the embedded broker, and its server as result
backend. `checks.check` verifies a value; `Settings.replace` is the only way to change one.

Source: SETTINGS.md; celery/app/defaults.py, `NAMESPACES`.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from tq.config.checks import check

__all__ = ["DEFAULTS", "FIELD_NAMES", "Settings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a process was told; times are seconds. Loaded once, replaced by a write, passed down."""

    # General and serialization
    accept_content: tuple[str, ...] = ("json",)
    """Content types (names or MIME types) the consumer will decode.

    Anything else is refused and the message rejected with an error log.
    """
    result_accept_content: tuple[str, ...] | None = None
    """Same whitelist for the result backend; falls back to accept_content."""
    enable_utc: bool = True
    """Dates in messages are UTC/aware.

    Also flips the default timezone to UTC when `timezone` is unset.
    """
    timezone: str | None = None
    """Zone name used for naive ETA/expires values, crontabs and `date_done`; default is UTC."""
    imports: tuple[str, ...] = ()
    """Modules imported when a worker starts."""
    include: tuple[str, ...] = ()
    """Extra modules imported at worker start (CLI -I adds here)."""

    # Task sending and routing
    task_protocol: int = 2
    """Message protocol used when publishing: 2 (headers carry metadata) or 1 (all in body)."""
    task_serializer: str = "json"
    """Serializer for task bodies; also used for control requests and replies."""
    task_compression: str | None = None
    """Compressor name for task bodies (gzip/zlib, bzip2, lzma/xz, brotli, zstd)."""
    task_default_queue: str = "celery"
    """Queue used when nothing else routes the task; also default exchange/routing key source."""
    task_default_queue_type: str = "classic"
    """classic or quorum for the default queue (RabbitMQ)."""
    task_default_exchange: str | None = None
    """Exchange of the default queue; falls back to the queue name."""
    task_default_exchange_type: str = "direct"
    """Type of that exchange."""
    task_default_routing_key: str | None = None
    """Routing key of the default queue; falls back to the queue name."""
    task_default_delivery_mode: int = 2
    """2 = persistent, 1 = transient."""
    task_default_priority: int | None = None
    """Priority put on tasks that do not set one."""
    task_inherit_parent_priority: bool = False
    """Child tasks and callbacks reuse the priority of the running task."""
    task_queue_max_priority: int | None = None
    """x-max-priority declared on queues that do not set one (RabbitMQ)."""
    task_queues: Any = None
    """Declared queues (name, exchange, routing key, arguments)."""
    task_routes: Any = None
    """Router list or mapping (name, glob or regex to route options)."""
    task_create_missing_queues: bool = True
    """Create queues named in routes or -Q on the fly."""
    task_create_missing_queue_type: str = "classic"
    """Queue type for those: classic or quorum."""
    task_create_missing_queue_exchange_type: str | None = None
    """Exchange type for those; otherwise direct."""
    task_publish_retry: bool = True
    """Retry a publish that fails because the connection is gone."""
    task_publish_retry_policy: dict[str, Any] = field(
        default_factory=lambda: {
            "max_retries": 3,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1,
        }
    )
    """Retries of a publish: max_retries, interval_start, interval_step, interval_max (seconds).

    """
    task_send_sent_event: bool = False
    """Clients publish a task-sent event after each publish."""
    task_repr_maxlevels: int = 3
    """Depth limit for argsrepr and kwargsrepr."""

    # Task execution
    task_acks_late: bool = True
    """Ack after running instead of before it (Celery: False)."""
    task_acks_on_failure_or_timeout: bool = True
    """Deprecated umbrella for the two settings below."""
    task_acks_on_failure: bool | None = None
    """With late acks: ack (True) or reject (False) a task that raised. Unset = umbrella value."""
    task_acks_on_timeout: bool | None = None
    """With late acks: ack or requeue a task killed by the hard time limit.

    Unset = umbrella value.
    """
    task_reject_on_worker_lost: bool | None = None
    """With late acks: requeue the message if the child process dies."""
    task_retry_on_worker_lost: bool = False
    """Publish a retry (counts against max_retries) when the child process dies."""
    task_always_eager: bool = False
    """Run tasks inline in the caller."""
    task_eager_propagates: bool = False
    """Eager tasks re-raise exceptions."""
    task_store_eager_result: bool = False
    """Eager tasks also write to the backend."""
    task_ignore_result: bool = False
    """Do not store results by default."""
    task_store_errors_even_if_ignored: bool = False
    """Store failures although results are ignored."""
    task_track_started: bool = False
    """Write a STARTED state when execution begins."""
    task_time_limit: float | None = None
    """Default hard limit in seconds (child is killed)."""
    task_soft_time_limit: float | None = None
    """Default soft limit in seconds (exception raised inside the task)."""
    task_default_rate_limit: str | float | None = None
    """Rate limit for tasks with none, such as 10/m."""
    task_annotations: Any = None
    """Patch task attributes by name or "*"."""
    task_allow_error_cb_on_chord_header: bool = False
    """Attach the chord errback to header tasks too."""

    # Broker connection
    broker_url: str | tuple[str, ...] | None = None
    """Address of the broker, or several for failover; unset means the embedded server."""
    broker_read_url: str | tuple[str, ...] | None = None
    """URL used for consuming."""
    broker_write_url: str | tuple[str, ...] | None = None
    """URL used for publishing."""
    broker_transport_options: dict[str, Any] = field(default_factory=dict)
    """Options of the transport: visibility_timeout, global_keyprefix, sep, priority_steps, ...

    """
    broker_use_ssl: bool | dict[str, Any] = False
    """TLS on, or a dict of TLS options."""
    broker_pool_limit: int | None = 10
    """Maximum pooled connections; None/0 disables pooling."""
    broker_connection_timeout: float | None = 4.0
    """Seconds to wait when connecting."""
    broker_connection_retry: bool = True
    """Reconnect after a lost connection."""
    broker_connection_retry_on_startup: bool | None = None
    """Also retry while starting (unset = value of broker_connection_retry)."""
    broker_connection_max_retries: int | None = 100
    """Give up after this many attempts; 0/None = never."""
    broker_heartbeat: float | None = 120.0
    """AMQP heartbeat seconds."""

    # Worker
    worker_concurrency: int | str | None = None
    """Pool size; int or "auto"."""
    worker_pool: str = "prefork"
    """prefork, threads, asyncio, gevent, eventlet, solo."""
    worker_pool_start_method: str = "fork"
    """fork or spawn for prefork children."""
    worker_pool_restarts: bool = False
    """Permit the pool_restart command."""
    worker_autoscaler: str | None = None
    """Class implementing --autoscale as `module:name`; unset means tq's own."""
    worker_prefetch_multiplier: int = 4
    """Messages prefetched per pool slot; 0 = unlimited."""
    worker_disable_prefetch: bool = False
    """Fetch only when a slot is free (Redis broker only)."""
    worker_eta_task_limit: int | None = None
    """Cap on ETA tasks held in memory."""
    worker_detect_quorum_queues: bool = True
    """Switch off global QoS when quorum queues are used."""
    worker_max_tasks_per_child: int | None = None
    """Recycle a child after this many tasks."""
    worker_max_memory_per_child: int | None = None
    """Recycle a child above this resident size (KiB)."""
    worker_lost_wait: float = 10.0
    """Seconds to wait for a result from a lost child."""
    worker_cancel_long_running_tasks_on_connection_loss: bool = False
    """On broker loss cancel running late-ack tasks."""
    worker_soft_shutdown_timeout: float = 0.0
    """Grace period, seconds, before a cold shutdown cancels tasks."""
    worker_deduplicate_successful_tasks: bool = False
    """Skip a redelivered late-ack task that already succeeded."""
    worker_direct: bool = False
    """Also consume a private queue `<node>.dq2` on exchange C.dq2."""
    worker_disable_rate_limits: bool = False
    """Ignore all rate limits."""
    worker_enable_remote_control: bool = True
    """Answer control commands."""
    worker_send_task_events: bool = False
    """Publish task events (same as -E)."""
    worker_state_db: str | None = None
    """File that keeps revoked ids and the clock."""
    worker_log_color: bool | None = None
    """Colour logs; default = when a terminal."""
    worker_log_format: str = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
    """Format of log lines."""
    worker_task_log_format: str = (
        "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
    )
    """Format of lines logged by task loggers."""
    worker_redirect_stdouts: bool = True
    """Send stdout/stderr to the log."""

    # Events
    event_exchange: str = "celeryev"
    """Exchange for events; on Redis part of the channel name."""
    event_serializer: str = "json"
    """Serializer of event bodies."""
    event_queue_prefix: str = "celeryev"
    """Prefix of receiver queue names."""
    event_queue_ttl: float = 5.0
    """Message TTL of receiver queues, seconds."""
    event_queue_expires: float = 60.0
    """Idle lifetime of receiver queues, seconds."""
    event_queue_exclusive: bool = True
    """Declare receiver queues exclusive."""
    event_queue_durable: bool = False
    """Declare them durable (not with exclusive)."""

    # Remote control
    control_exchange: str = "celery"
    """Namespace: exchange is `<value>.pidbox`, replies go through `reply.<value>.pidbox`."""
    control_queue_ttl: float = 300.0
    """Message TTL of pidbox and reply queues, seconds."""
    control_queue_expires: float = 10.0
    """Idle lifetime of pidbox and reply queues, seconds."""
    control_queue_exclusive: bool = True
    """Declare them exclusive."""
    control_queue_durable: bool = False
    """Declare them durable (not with exclusive)."""

    # Result backend, common
    result_backend: str | None = None
    """Address of the result backend.

    Unset means the broker's own server where it can keep results (embedded, Redis, memory),
    `disabled://` none at all.
    """
    result_serializer: str = "json"
    """Serializer of stored results."""
    result_expires: float | None = 86400.0
    """Lifetime of results (seconds or timedelta); 0/None = for ever."""
    result_failure_expires: float | None = None
    """Separate lifetime for FAILURE results."""
    result_chord_expires: float | None = None
    """Lifetime of chord bookkeeping keys; default result_expires."""
    result_extended: bool = False
    """Add name, args, kwargs, worker, retries, queue (and stamps) to stored results."""
    result_compression: str | None = None
    """Compress stored payloads; self-describing prefix."""
    result_cache_max: int | None = -1
    """Client-side result cache size; -1 off, 0/None unlimited."""
    result_chord_join_timeout: float = 3.0
    """Seconds to wait when joining header results."""
    result_chord_retry_interval: float = 1.0
    """Poll interval of celery.chord_unlock for backends without counters."""
    result_backend_transport_options: dict[str, Any] = field(default_factory=dict)
    """global_keyprefix, result_chord_ordered, retry_policy, master_name, sentinel options, ..."""
    result_backend_always_retry: bool = False
    """Retry recoverable backend errors."""
    result_backend_max_retries: float = float("inf")
    """Retry cap for that."""
    result_persistent: bool | None = None
    """Persistent result messages for rpc."""

    # Result backend: Redis
    redis_backend_use_ssl: bool | dict[str, Any] | None = None
    """TLS options."""
    redis_max_connections: int | None = None
    """Pool size."""
    redis_socket_timeout: float | None = 120.0
    """Read/write timeout."""
    redis_socket_connect_timeout: float | None = None
    """Connect timeout."""

    # Beat
    beat_schedule: dict[str, Any] = field(default_factory=dict)
    """Mapping of entry name to task, schedule, args, kwargs, options, relative."""
    beat_scheduler: str | None = None
    """Scheduler class as `module:name`; unset means tq's own."""
    beat_schedule_filename: str = "celerybeat-schedule"
    """Path of the schedule store."""
    beat_sync_every: int = 0
    """Save the store after this many sends; 0 = on the timer."""
    beat_max_loop_interval: float = 0.0
    """Longest sleep; 0 = scheduler default (300 s for the persistent one)."""
    beat_cron_starting_deadline: int | None = None
    """Skip crontab runs missed by more than this many seconds."""
    beat_enable_remote_control: bool = False
    """Let beat answer `inspect ping` as node celerybeat@host."""
    redis_backend_health_check_interval: float | None = None
    """Seconds between PINGs of an idle result connection; unset follows the broker."""

    # tq's own
    task_delivery_limit: int = 5
    """Deliveries of one message that may end unsettled before it goes to the dead letters.

    0 for no limit.
    """
    broker_lease: float = 10.0
    """Seconds after which the messages of a silent worker are taken over."""
    allow_insecure_serializers: bool = False
    """Whether pickle in `accept_content` is honoured.

    Whoever writes to the broker then runs code here.
    """
    message_max_bytes: int = 16 * 1024 * 1024
    """Largest message read, in bytes, before it goes to the dead letters."""
    message_max_inflated_bytes: int = 64 * 1024 * 1024
    """Largest decompressed body read, in bytes."""
    worker_log_json: bool = False
    """Whether log lines are JSON objects."""
    beat_catchup: bool = True
    """Whether the latest missed slot of a schedule runs once after a pause."""

    def replace(self, source: str = "settings", /, **values: Any) -> Self:
        """Return a copy with `values`, each checked for type and range.

        Args:
            source: Where the values come from, for the error message.
            **values: New values by name.

        Raises:
            ConfigError: A name is unknown, or a value has the wrong type or range.
        """
        checked = {name: check(name, value, TYPES, source) for name, value in values.items()}
        return dataclasses.replace(self, **checked)

    def table(self) -> dict[str, Any]:
        """Return name to value, in the order of the fields; values are not copied."""
        return {name: getattr(self, name) for name in FIELD_NAMES}


# The annotations themselves, never strings: this module does not postpone their evaluation.
TYPES: dict[str, Any] = {item.name: item.type for item in dataclasses.fields(Settings)}
FIELD_NAMES: tuple[str, ...] = tuple(TYPES)
DEFAULTS = Settings()
