"""kombu's transports for Redis and SQS, with what they lack: dead letters and renewal.

They take the place of kombu's own under the same URL schemes.
"""

from kombu.transport import TRANSPORT_ALIASES, _transport_cache

#: How soon a worker whose hands are full looks again where nothing wakes it: under gevent. kombu
#: waits for up to two seconds on Redis, and not at all on SQS.
FULL_HANDS_SECONDS = 0.01

_OURS = {
    "redis": "celery_runtime.transports.redis:Transport",
    "rediss": "celery_runtime.transports.redis:Transport",
    "sentinel": "celery_runtime.transports.redis:SentinelTransport",
    "sqs": "celery_runtime.transports.sqs:Transport",
}


def install() -> None:
    """Let connections made from now on use these transports; nothing is imported yet."""
    TRANSPORT_ALIASES.update(_OURS)
    for scheme in _OURS:
        _transport_cache.pop(scheme, None)
