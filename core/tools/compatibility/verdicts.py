"""Why a name differs from Celery or is not provided. What is not listed here works the same.

`DIFFERS` and `NOT_PROVIDED` map a section's names to a sentence; a name that ends in `*` stands for
all that begin so. `tests/architecture/test_compatibility.py` refuses a name that is in neither and
has no effect, and a sentence about a name that is not Celery's or has no need of it.
"""

from collections.abc import Mapping

__all__ = ["CALL_OPTIONS", "DIFFERS", "NOT_PROVIDED", "SECTIONS"]

TASK_OPTIONS = "Task options"
CALL_OPTIONS = "Options of apply_async"
SETTINGS = "Settings"
WORKER_OPTIONS = "Worker options"
SIGNALS = "Signals"
SECTIONS = (TASK_OPTIONS, CALL_OPTIONS, SETTINGS, WORKER_OPTIONS, SIGNALS)

_TASKS_ARE_LATE = (
    "late by default: a task whose worker dies runs again, five times at most "
    "(`task_delivery_limit`); False restores Celery's behaviour"
)
_LOST = "unset means yes for late acknowledgement: the task runs again; False records a failure"
_PICKLE = "`pickle` also needs `allow_insecure_serializers=True`"
_INTERNALS = "replaces parts inside Celery's worker; tq's is built differently"
_CONNECTION = (
    "the application holds its connections; `broker_write_url` or another TQ publishes elsewhere"
)

DIFFERS: Mapping[str, Mapping[str, str]] = {
    TASK_OPTIONS: {
        "acks_late": _TASKS_ARE_LATE,
        "lazy": "accepted; a task is always made at once, and its application read when it is used",
        "reject_on_worker_lost": _LOST,
        "serializer": _PICKLE,
        "backend": "readable, the application's; a task has no backend of its own",
    },
    CALL_OPTIONS: {"serializer": _PICKLE},
    SETTINGS: {
        "accept_content": _PICKLE,
        "beat_schedule_filename": (
            "a JSON file, or SQLite for a name that ends in .db or .sqlite; never a shelve file"
        ),
        "beat_scheduler": (
            "unset means tq's own, which may run several times at once; another class derives from "
            "`tq.beat.Scheduler`"
        ),
        "broker_connection_max_retries": (
            "the default is no limit, as a worker should outlast its broker's absence; a number "
            "that is written is kept to"
        ),
        "broker_pool_limit": (
            "bounds kombu's pools (`app.pool`, `app.producer_pool`); tq's own have as many "
            "connections as threads call at once"
        ),
        "broker_transport_options": (
            "kombu's names; on Redis `visibility_timeout` is not used, since leases tell a dead "
            "worker from a slow one (`broker_lease`)"
        ),
        "broker_url": "unset means the embedded server of this machine instead of amqp",
        "result_backend": (
            "unset keeps results on the broker's own server where that can (embedded, Redis, "
            "Valkey, memory); `disabled://` keeps none. Backends are Redis, Valkey, rpc and memory"
        ),
        "result_accept_content": _PICKLE,
        "result_serializer": _PICKLE,
        "task_acks_late": _TASKS_ARE_LATE,
        "task_inherit_parent_priority": "also comes before `task_default_priority`",
        "task_reject_on_worker_lost": _LOST,
        "task_serializer": _PICKLE,
        "worker_concurrency": "unset means 1000 for the pools asyncio, gevent and eventlet",
        "worker_pool": (
            "prefork, threads, asyncio (not in Celery), gevent, eventlet, solo; no class paths"
        ),
        "worker_max_memory_per_child": (
            "a limit below what a fresh child needs is raised to a quarter above that"
        ),
        "worker_prefetch_multiplier": (
            "at its default the pool takes what it can use by the tasks' measured run time; "
            "another number bounds it as in Celery"
        ),
        "worker_state_db": "a JSON file of tq's own, never a shelve file",
    },
    WORKER_OPTIONS: {
        "optimization": "accepted; both values mean `fair`",
        "pool": "also asyncio; not `custom`",
        "scheduler": "as the setting `beat_scheduler`",
        "statedb": "a JSON file of tq's own, never a shelve file",
        "schedule_filename": "`-s` and `--schedule`; a JSON file, or SQLite by its suffix",
        "version": "`tq --version`",
    },
    SIGNALS: {},
}

_ELSEWHERE = "no such result backend: results go to Redis, Valkey, rpc or memory"
_IN_URL = "part of the URL: `{}`"
_BROKER_PARTS = "written in the URL: `broker_url`"
_LOGGING = "formats are settings; the rest by the signals `after_setup_logger` or `setup_logging`"
_AMQP_ONLY = "an AMQP flag that no transport honours since RabbitMQ 3"

NOT_PROVIDED: Mapping[str, Mapping[str, str]] = {
    TASK_OPTIONS: {
        "Request": _INTERNALS,
        "Strategy": _INTERNALS,
        "filter": "a hook for making task classes; use `base=`",
        "immediate": _AMQP_ONLY,
        "mandatory": "a queue is declared before a message is sent to it",
    },
    CALL_OPTIONS: {
        "confirm_timeout": "the transport's: `broker_transport_options`",
        "connection": _CONNECTION,
        "content_encoding": "follows from the serializer",
        "content_type": "follows from the serializer",
        "declare": "queues are declared from `task_queues` and routes",
        "immediate": _AMQP_ONLY,
        "mandatory": "a queue is declared before a message is sent to it",
        "producer": _CONNECTION,
        "publisher": "Celery's old name of `producer`",
        "result_cls": "results are `AsyncResult`",
        "route_name": "routes see the task's own name",
        "router": "`task_routes`, which may hold functions",
        "timeout": "`broker_connection_timeout`, and `retry_policy` for the attempts",
    },
    SETTINGS: {
        "arangodb_*": _ELSEWHERE,
        "azureblockblob_*": _ELSEWHERE,
        "beat_remote_control_max_tick_age": "beat answers for as long as its process lives",
        "broker_channel_error_retry": (
            "a worker whose queue is deleted connects anew and declares it again"
        ),
        "broker_failover_strategy": "addresses are tried in turn, round and round",
        "broker_heartbeat_checkrate": "checked several times in each `broker_heartbeat`",
        "broker_host": _BROKER_PARTS,
        "broker_login_method": "`broker_transport_options={'login_method': ...}`",
        "broker_native_delayed_delivery_queue_type": (
            "no delay queues are declared: see rabbitmq.md for tasks with an ETA"
        ),
        "broker_password": _BROKER_PARTS,
        "broker_pool_acquire_timeout": "connections are made as threads need them",
        "broker_port": _BROKER_PARTS,
        "broker_transport": _BROKER_PARTS,
        "broker_user": _BROKER_PARTS,
        "broker_vhost": _BROKER_PARTS,
        "cache_*": _ELSEWHERE,
        "cassandra_*": _ELSEWHERE,
        "cosmosdbsql_*": _ELSEWHERE,
        "couchbase_*": _ELSEWHERE,
        "database_*": _ELSEWHERE,
        "elasticsearch_*": _ELSEWHERE,
        "gcs_*": _ELSEWHERE,
        "mongodb_*": _ELSEWHERE,
        "redis_backend_credential_provider": "user and password are part of the URL",
        "redis_client_name": "`result_backend_transport_options={'client_name': ...}`",
        "redis_backend_health_check_interval": (
            "a connection is checked when it is taken after it was idle"
        ),
        "redis_db": _IN_URL.format("result_backend"),
        "redis_host": _IN_URL.format("result_backend"),
        "redis_max_connections": "as many as threads ask at once; ten are kept when they rest",
        "redis_password": _IN_URL.format("result_backend"),
        "redis_port": _IN_URL.format("result_backend"),
        "redis_retry_on_timeout": "a worker writes a result again until it is stored",
        "redis_socket_keepalive": "`result_backend_transport_options={'socket_keepalive': ...}`",
        "redis_username": _IN_URL.format("result_backend"),
        "result_backend_always_retry": (
            "a result that cannot be stored is tried again until it is, before the acknowledgement"
        ),
        "result_backend_base_sleep_between_retries_ms": "see `result_backend_always_retry`",
        "result_backend_thread_safe": "always: threads share one backend",
        "result_backend_max_retries": "see `result_backend_always_retry`",
        "result_backend_max_sleep_between_retries_ms": "see `result_backend_always_retry`",
        "result_cache_max": "a result object keeps its own value; there is no cache of others'",
        "result_exchange": "of a backend that Celery removed; `rpc://` uses the default exchange",
        "result_exchange_type": "of a backend that Celery removed",
        "s3_*": _ELSEWHERE,
        "security_*": "no signed messages: use TLS and the broker's users",
        "task_remote_tracebacks": "needs pickled exceptions; `result.traceback` has the text",
        "worker_agent": _INTERNALS,
        "worker_autoscaler": "tq's own; its bounds are set by `--autoscale`",
        "worker_consumer": _INTERNALS,
        "worker_detect_quorum_queues": "no queue needs global limits, so quorum queues just work",
        "worker_enable_prefetch_count_reduction": (
            "a worker never holds more than its slots can use soon, also after a lost connection"
        ),
        "worker_enable_soft_shutdown_on_idle": "an idle worker has nothing to wait for",
        "worker_eta_task_limit": (
            "tasks with an ETA wait in the broker; a worker on RabbitMQ gives them back in time"
        ),
        "worker_hijack_root_logger": _LOGGING,
        "worker_log_datefmt": _LOGGING,
        "worker_lost_wait": "a dead child is seen by its process handle: nothing to wait for",
        "worker_pool_putlocks": "the pool takes no more than it has slots",
        "worker_proc_alive_timeout": "a child counts when it says that it is ready",
        "worker_redirect_stdouts_level": "WARNING",
        "worker_task_log_datefmt": _LOGGING,
        "worker_timer": _INTERNALS,
        "worker_timer_precision": "timers are exact",
    },
    WORKER_OPTIONS: {
        "executable": "a worker in the background runs the same interpreter",
        "loader": "an application without Celery's loaders: `--config` names the settings",
        "skip_checks": "Django's checks are not run",
    },
    SIGNALS: {},
}
