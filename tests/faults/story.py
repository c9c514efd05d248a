"""The whole story of a run that was not survived, for whoever has to find out why."""

import json
from datetime import datetime
from typing import Any

from tests.cluster.shop import Shop
from tests.faults.campaign import Order, Outcome
from tests.faults.logs import Logs

#: Enough to find the cause by; the seed makes the others again.
MOST = 5
TABLES = ("shop_taskrun", "shop_hold")


def tell_of(shop: Shop, outcome: Outcome) -> str:
    """What fell short, how to repeat it, the faults, and each task by ledger and logs, events."""
    told = [*outcome.shortcomings, command(outcome.order)]
    told += [
        f"{strike.at:%H:%M:%S} to {strike.over_at:%H:%M:%S} {strike.name} {strike.error}".rstrip()
        for strike in outcome.strikes
    ]
    lines = {line.task_id: line for line in outcome.lines}
    for task_id in outcome.verdict.broken[:MOST]:
        line = lines[task_id]
        begin = line.sent_at or outcome.strikes[0].at
        told += [f"\n{task_id}", *_rows(shop, task_id)]
        told += task_story(outcome.logs, task_id, begin, line.finished_at)
    told += [
        "\nEvents of the last hour:",
        shop.kubectl("get", "events", "--sort-by=.lastTimestamp"),
    ]
    return "\n".join([*told, ""])


def command(order: Order) -> str:
    """The line that sends the same tasks and strikes the same faults."""
    return f"make test-faults SEED={order.seed} TASKS={order.tasks} FAULTS={order.faults}"


def task_story(logs: Logs, task_id: str, begin: datetime, end: datetime | None) -> list[str]:
    """What every pod said of a task, and the broker while it was under way, by the time."""
    said = logs.naming(task_id)
    last = max((_time(line) for line in said), default=begin)
    return ["Logs that name it:", *said, "The broker meanwhile:", *logs.broker(begin, end or last)]


def _rows(shop: Shop, task_id: str) -> list[str]:
    found: list[Any] = []
    for table in TABLES:
        query = f"SELECT row_to_json(t) FROM {table} t WHERE task_id = '{task_id}'"  # noqa: S608
        found += [f"{table}: {row}" for (row,) in shop.sql(query)]
    return found or [json.dumps(None)]


def _time(line: str) -> datetime:
    return datetime.fromisoformat(line.split()[0][:19] + "+00:00")
