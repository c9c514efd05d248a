"""What this package sets for every app, whatever its broker."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

RESULT_EXPIRES_SECONDS = 24 * 60 * 60
BEAT_MAX_INTERVAL_SECONDS = 5
#: Six missed ticks: how long a schedule stands still after its beat was killed without a goodbye.
BEAT_LOCK_SECONDS = 30
REDIS_CONNECT_TIMEOUT_SECONDS = 5
REDIS_TIMEOUT_SECONDS = 30
#: Every slot of a gevent worker may ask at once; redis-py would call the 101st "too many".
REDIS_MAX_CONNECTIONS = 10_000

#: Celery's defaults suit a laptop; these suit pods that come and go. `config` overrides each.
SHIPPED: Mapping[str, Any] = MappingProxyType(
    {
        # A message is acknowledged after the work and comes back when its worker dies.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_track_started": True,
        # What cannot be read or is rejected goes to the dead letters, with its reason. Events go
        # without confirms: under gevent the two together end in a deadlock.
        "worker_consumer": "celery_runtime.deadletter.worker:Consumer",
        # Safe to turn on, for a monitor that listens; each task then costs three more messages.
        "worker_send_task_events": False,
        # A broker that is away is waited for, at the start and later.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A channel that the broker closes ends no worker: its queue's node may be back soon.
        "broker_channel_error_retry": True,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_expires": RESULT_EXPIRES_SECONDS,
        # One for the process. Celery's default is one for each thread, which under gevent is each
        # task: most of what a short task costs, and a new connection for each result.
        "result_backend_thread_safe": True,
        "redis_max_connections": REDIS_MAX_CONNECTIONS,
        # The work is done; an outage of the result store must not lose its result.
        "result_backend_always_retry": True,
        "redis_retry_on_timeout": True,
        "redis_socket_keepalive": True,
        "redis_socket_connect_timeout": REDIS_CONNECT_TIMEOUT_SECONDS,
        "redis_socket_timeout": REDIS_TIMEOUT_SECONDS,
        "beat_max_loop_interval": BEAT_MAX_INTERVAL_SECONDS,
        "redbeat_lock_timeout": BEAT_LOCK_SECONDS,
        "redbeat_redis_options": {
            "socket_keepalive": True,
            "socket_connect_timeout": REDIS_CONNECT_TIMEOUT_SECONDS,
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
        },
    }
)
