"""Pods that end, with their grace or without."""

from ci import keda
from ci.demo import RELEASE
from tests.faults.strikes.field import BEAT, EXPORTER, WORKERS, Field


def delete_worker(field: Field) -> None:
    """Delete a worker's pod."""
    field.shop.kubectl("delete", "pod", field.pod(WORKERS), "--wait=false")


def kill_worker(field: Field) -> None:
    """Kill a worker's pod."""
    field.kill(field.pod(WORKERS))


def kill_redis(field: Field) -> None:
    """Kill the store of results."""
    field.kill(f"{RELEASE}-redis-0")


def kill_beat(field: Field) -> None:
    """Kill beat."""
    field.kill(field.pod(BEAT))


def kill_exporter(field: Field) -> None:
    """Kill who counts."""
    field.kill(field.pod(EXPORTER))


def kill_keda(field: Field) -> None:
    """Kill who scales, in whatever the queues are at."""
    operator = ("delete", "pod", f"--selector=app={keda.OPERATOR}", "--grace-period=0", "--force")
    field.shop.kubectl(f"--namespace={keda.NAMESPACE}", *operator)


def upgrade(field: Field) -> None:
    """Replace every worker and beat by an upgrade of the chart."""
    mark = field.chance.randrange(10**9)
    field.shop.upgrade(f"workerDefaults.podAnnotations.round=r{mark}")
