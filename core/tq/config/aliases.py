"""Names that are not settings of today: Celery 3's spellings, and settings tq does not use.

Source: SETTINGS.md; celery/app/defaults.py (`old` names), docs of the 4.0 change.
"""

from tq.config.settings import FIELD_NAMES

__all__ = ["OLD_NAMES", "UNREAD_NAMES", "UNUSED_NAMES", "canonical"]

OLD_NAMES: dict[str, str] = {
    "CELERYBEAT_MAX_LOOP_INTERVAL": "beat_max_loop_interval",
    "CELERYBEAT_SCHEDULE": "beat_schedule",
    "CELERYBEAT_SCHEDULER": "beat_scheduler",
    "CELERYBEAT_SCHEDULE_FILENAME": "beat_schedule_filename",
    "CELERYBEAT_SYNC_EVERY": "beat_sync_every",
    "CELERYD_AGENT": "worker_agent",
    "CELERYD_AUTOSCALER": "worker_autoscaler",
    "CELERYD_CONCURRENCY": "worker_concurrency",
    "CELERYD_CONSUMER": "worker_consumer",
    "CELERYD_FORCE_EXECV": "worker_pool_start_method",
    "CELERYD_HIJACK_ROOT_LOGGER": "worker_hijack_root_logger",
    "CELERYD_LOG_COLOR": "worker_log_color",
    "CELERYD_LOG_FORMAT": "worker_log_format",
    "CELERYD_MAX_MEMORY_PER_CHILD": "worker_max_memory_per_child",
    "CELERYD_MAX_TASKS_PER_CHILD": "worker_max_tasks_per_child",
    "CELERYD_POOL": "worker_pool",
    "CELERYD_POOL_PUTLOCKS": "worker_pool_putlocks",
    "CELERYD_POOL_RESTARTS": "worker_pool_restarts",
    "CELERYD_PREFETCH_MULTIPLIER": "worker_prefetch_multiplier",
    "CELERYD_SEND_EVENTS": "worker_send_task_events",
    "CELERYD_STATE_DB": "worker_state_db",
    "CELERYD_TASK_LOG_FORMAT": "worker_task_log_format",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERYD_TIMER": "worker_timer",
    "CELERYD_TIMER_PRECISION": "worker_timer_precision",
    "CELERYD_WORKER_LOST_WAIT": "worker_lost_wait",
    "CELERY_ACKS_LATE": "task_acks_late",
    "CELERY_ACKS_ON_FAILURE_OR_TIMEOUT": "task_acks_on_failure_or_timeout",
    "CELERY_ALWAYS_EAGER": "task_always_eager",
    "CELERY_ANNOTATIONS": "task_annotations",
    "CELERY_CREATE_MISSING_QUEUES": "task_create_missing_queues",
    "CELERY_DEFAULT_DELIVERY_MODE": "task_default_delivery_mode",
    "CELERY_DEFAULT_EXCHANGE": "task_default_exchange",
    "CELERY_DEFAULT_EXCHANGE_TYPE": "task_default_exchange_type",
    "CELERY_DEFAULT_QUEUE": "task_default_queue",
    "CELERY_DEFAULT_RATE_LIMIT": "task_default_rate_limit",
    "CELERY_DEFAULT_ROUTING_KEY": "task_default_routing_key",
    "CELERY_DISABLE_RATE_LIMITS": "worker_disable_rate_limits",
    "CELERY_EAGER_PROPAGATES": "task_eager_propagates",
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
    "CELERY_ENABLE_REMOTE_CONTROL": "worker_enable_remote_control",
    "CELERY_IGNORE_RESULT": "task_ignore_result",
    "CELERY_MESSAGE_COMPRESSION": "task_compression",
    "CELERY_QUEUES": "task_queues",
    "CELERY_QUEUE_MAX_PRIORITY": "task_queue_max_priority",
    "CELERY_REDIRECT_STDOUTS": "worker_redirect_stdouts",
    "CELERY_REDIRECT_STDOUTS_LEVEL": "worker_redirect_stdouts_level",
    "CELERY_REJECT_ON_WORKER_LOST": "task_reject_on_worker_lost",
    "CELERY_ROUTES": "task_routes",
    "CELERY_SEND_EVENTS": "worker_send_task_events",
    "CELERY_SEND_SENT_EVENT": "task_send_sent_event",
    "CELERY_SEND_TASK_EVENTS": "worker_send_task_events",
    "CELERY_SEND_TASK_SENT_EVENT": "task_send_sent_event",
    "CELERY_STORE_ERRORS_EVEN_IF_IGNORED": "task_store_errors_even_if_ignored",
    "CELERY_TASK_RESULT_EXPIRES": "result_expires",
    "CELERY_TRACK_STARTED": "task_track_started",
    "CELERY_WORKER_DIRECT": "worker_direct",
}
"""Celery 3's upper-case names that do not follow from the new name by `CELERY_` + upper case."""

UNUSED_NAMES: frozenset[str] = frozenset(
    {
        "arangodb_backend_settings",
        "azureblockblob_base_path",
        "azureblockblob_connection_timeout",
        "azureblockblob_container_name",
        "azureblockblob_read_timeout",
        "azureblockblob_retry_increment_base",
        "azureblockblob_retry_initial_backoff_sec",
        "azureblockblob_retry_max_attempts",
        "beat_remote_control_max_tick_age",
        "broker_channel_error_retry",
        "broker_failover_strategy",
        "broker_heartbeat_checkrate",
        "broker_host",
        "broker_login_method",
        "broker_native_delayed_delivery_queue_type",
        "broker_password",
        "broker_pool_acquire_timeout",
        "broker_port",
        "broker_transport",
        "broker_user",
        "broker_vhost",
        "cache_backend",
        "cache_backend_options",
        "cassandra_auth_kwargs",
        "cassandra_auth_provider",
        "cassandra_bundle_path",
        "cassandra_entry_ttl",
        "cassandra_keyspace",
        "cassandra_options",
        "cassandra_port",
        "cassandra_read_consistency",
        "cassandra_servers",
        "cassandra_table",
        "cassandra_write_consistency",
        "cosmosdbsql_collection_name",
        "cosmosdbsql_consistency_level",
        "cosmosdbsql_database_name",
        "cosmosdbsql_max_retry_attempts",
        "cosmosdbsql_max_retry_wait_time",
        "couchbase_backend_settings",
        "database_create_tables_at_setup",
        "database_engine_callback",
        "database_engine_options",
        "database_short_lived_sessions",
        "database_table_names",
        "database_table_schemas",
        "database_url",
        "deprecated_settings",
        "elasticsearch_max_retries",
        "elasticsearch_retry_on_timeout",
        "elasticsearch_save_meta_as_text",
        "elasticsearch_timeout",
        "gcs_base_path",
        "gcs_bucket",
        "gcs_project",
        "gcs_threadpool_maxsize",
        "gcs_ttl",
        "mongodb_backend_settings",
        "redis_backend_credential_provider",
        "redis_client_name",
        "redis_db",
        "redis_host",
        "redis_password",
        "redis_port",
        "redis_retry_on_timeout",
        "redis_socket_keepalive",
        "redis_username",
        "result_backend_base_sleep_between_retries_ms",
        "result_backend_max_sleep_between_retries_ms",
        "result_backend_thread_safe",
        "result_exchange",
        "result_exchange_type",
        "s3_access_key_id",
        "s3_base_path",
        "s3_bucket",
        "s3_endpoint_url",
        "s3_region",
        "s3_secret_access_key",
        "security_cert_store",
        "security_certificate",
        "security_digest",
        "security_key",
        "security_key_password",
        "task_remote_tracebacks",
        "worker_agent",
        "worker_consumer",
        "worker_enable_prefetch_count_reduction",
        "worker_enable_soft_shutdown_on_idle",
        "worker_hijack_root_logger",
        "worker_log_datefmt",
        "worker_pool_putlocks",
        "worker_proc_alive_timeout",
        "worker_redirect_stdouts_level",
        "worker_task_log_datefmt",
        "worker_timer",
        "worker_timer_precision",
    }
)
"""Celery settings of other backends and local tuning: accepted, readable, without effect."""

UNREAD_NAMES: frozenset[str] = frozenset(
    {
        "redis_backend_health_check_interval",
        "redis_max_connections",
        "result_backend_always_retry",
        "result_backend_max_retries",
        "result_cache_max",
        "worker_autoscaler",
        "worker_detect_quorum_queues",
        "worker_eta_task_limit",
        "worker_lost_wait",
    }
)
"""Fields of `Settings` whose default tells what tq does; another value has no effect."""

_KNOWN = frozenset(FIELD_NAMES) | UNUSED_NAMES


def canonical(name: str) -> str | None:
    """Return today's lower-case name of a setting in any spelling, or None if there is none."""
    if name in _KNOWN:
        return name
    if not name.isupper():
        return None
    if name in OLD_NAMES:
        return OLD_NAMES[name]
    lower = name.lower()
    for candidate in (lower, lower.removeprefix("celery_")):
        if candidate in _KNOWN:
            return candidate
    return None
