"""Pods that end, with their grace or without."""

import time
from datetime import UTC, datetime

from ci import keda
from ci.demo import RELEASE
from tests.faults.strikes.field import BEAT, EXPORTER, WORKERS, Field

#: values/dev.yaml's schedule.
TICK_SECONDS = 10
LAST_TICK = "SELECT max(scheduled_at) FROM shop_tick"
#: From the decision to the signal.
KILLING_SECONDS = 0.5
#: What an image is called by which workers are upgraded, though nothing else in it changes.
OTHER = "-next"


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
    """Kill beat as it sends."""
    pod = field.pod(BEAT)
    last = datetime.fromisoformat(field.shop.sql(LAST_TICK)[0][0])
    since = (datetime.now(UTC) - last).total_seconds()
    time.sleep((-since - KILLING_SECONDS) % TICK_SECONDS)
    field.kill(pod)


def kill_exporter(field: Field) -> None:
    """Kill who counts, in a burst."""
    field.burst()
    field.kill(field.pod(EXPORTER))


def kill_keda(field: Field) -> None:
    """Kill who scales, in a burst."""
    told = field.shop.get(
        "pods", f"--namespace={keda.NAMESPACE}", f"--selector=app={keda.OPERATOR}"
    )
    names = [pod["metadata"]["name"] for pod in told["items"]]
    field.burst()
    field.kill(*names, namespace=keda.NAMESPACE)


def upgrade(field: Field) -> None:
    """Replace every worker and beat by an upgrade of the chart and of their image."""
    image = field.shop.target.image
    one, other = str(image), f"{image}{OTHER}"
    again = f"ctr --namespace k8s.io images ls --quiet | grep '/{one}$'"
    tag = "ctr --namespace k8s.io images tag --force"
    field.nodes().run(f"for each in $({again}); do {tag} $each $each{OTHER}; done")
    running = field.shop.get("deployment", f"{RELEASE}-worker-cpu")["spec"]["template"]["spec"]
    new = other if running["containers"][0]["image"].endswith(one) else one
    mark = field.chance.randrange(10**9)
    field.shop.upgrade(
        f"workerDefaults.podAnnotations.round=r{mark}", f"image.tag={new.rpartition(':')[2]}"
    )
