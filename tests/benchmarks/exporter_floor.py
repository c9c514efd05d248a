"""The least that reading events in Python costs: redis-py, base64, orjson, and a count.

`python -m tests.benchmarks.exporter_floor URL`
"""

import sys
from base64 import b64decode
from collections import Counter

import orjson
from redis import Redis


def main(url: str) -> None:
    """Count events by their type until the process is killed."""
    counts: Counter[str] = Counter()
    with Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as events:
        events.psubscribe("/0.celeryev/*")
        for message in events.listen():
            decoded = orjson.loads(b64decode(orjson.loads(message["data"])["body"]))
            for event in decoded if isinstance(decoded, list) else [decoded]:
                counts[event["type"]] += 1


if __name__ == "__main__":
    main(sys.argv[1])
