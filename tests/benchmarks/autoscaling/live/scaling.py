"""Who scales on the real cluster: this chart's scaler, and KEDA's trigger as its page shows it."""

import json
from abc import ABC, abstractmethod
from typing import Any

from tests.benchmarks.autoscaling.live.cases import MAX_REPLICAS, PROMISED_WAIT_SECONDS, SLOTS, Case
from tests.benchmarks.autoscaling.ours import Ours
from tests.benchmarks.autoscaling.scalers import DEFAULT_GRACE_SECONDS, KedaReady, Scaler
from tests.cluster.shop import Shop

GROUP = "bench"
#: Taken from the group io: the shop's web server knows it already.
QUEUE = "email"
DEPLOYMENT = f"jobs-worker-{GROUP}"


class SmallOurs(Ours):
    """The simulated one, with as many pods as the real one may have."""

    maximum = MAX_REPLICAS


class SmallKeda(KedaReady):
    """The simulated one, with as many pods as the real one may have."""

    maximum = MAX_REPLICAS


class Live(ABC):
    """A way to scale the group `bench`."""

    simulated: type[Scaler]

    @abstractmethod
    def install(self, shop: Shop, case: Case) -> None:
        """Scale the group, whose pods are ready, from now on."""

    @abstractmethod
    def remove(self, shop: Shop) -> None:
        """Scale it no more."""


class Exporter(Live):
    """The chart's own."""

    simulated = SmallOurs

    def install(self, shop: Shop, case: Case) -> None:
        scaled = f"workers.{GROUP}.autoscaling"
        shop.upgrade(
            *group(case),
            "autoscaling.mode=keda",
            f"{scaled}.minReplicas=0",
            f"{scaled}.maxReplicas={MAX_REPLICAS}",
            f"{scaled}.queueWaitSeconds={PROMISED_WAIT_SECONDS}",
        )

    def remove(self, shop: Shop) -> None:
        shop.upgrade()


class KedaRabbitmq(Live):
    """KEDA's rabbitmq trigger: 20 ready messages a pod, and every default of KEDA and the HPA."""

    simulated = SmallKeda

    def install(self, shop: Shop, case: Case) -> None:
        # KEDA asks by AMQP here, which the chart's policies do not let it.
        shop.upgrade(*group(case), "autoscaling.mode=none", "networkPolicy.enabled=false")
        grace = {"terminationGracePeriodSeconds": int(DEFAULT_GRACE_SECONDS)}
        patch = {"spec": {"template": {"spec": grace}}}
        shop.kubectl("patch", "deployment", DEPLOYMENT, "--patch", json.dumps(patch))
        shop.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}")
        # KEDA would look on at a pod for its cooldown first.
        shop.kubectl("scale", "deployment", DEPLOYMENT, "--replicas=0")
        shop.apply({"apiVersion": "v1", "kind": "List", "items": list(_objects(shop))})

    def remove(self, shop: Shop) -> None:
        shop.kubectl("delete", "scaledobject,triggerauthentication", GROUP)
        # With the group goes the Deployment, whose fields helm and kubectl would quarrel over.
        shop.upgrade()


def group(case: Case) -> tuple[str, ...]:
    """The worker group, as `--set` takes it."""
    worker = f"workers.{GROUP}"
    return (
        "workers.io.queues={default,high_priority}",
        f"{worker}.pool=gevent",
        f"{worker}.concurrency={SLOTS}",
        f"{worker}.queues={{{QUEUE}}}",
        f"{worker}.maxTaskSeconds={case.max_task_seconds}",
        f"{worker}.resources.requests.memory=96Mi",
        f"{worker}.resources.requests.cpu=25m",
    )


def _objects(shop: Shop) -> list[dict[str, Any]]:
    secret = "bench-amqp"  # its name
    trigger = {
        "type": "rabbitmq",
        "metadata": {
            "protocol": "amqp",
            "queueName": QUEUE,
            "mode": "QueueLength",
            "value": "20",
        },
        "authenticationRef": {"name": GROUP},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret},
            "stringData": {"host": shop.amqp_url()},
        },
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": {"name": GROUP},
            "spec": {"secretTargetRef": [{"parameter": "host", "name": secret, "key": "host"}]},
        },
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": GROUP},
            "spec": {
                "scaleTargetRef": {"name": DEPLOYMENT},
                "maxReplicaCount": MAX_REPLICAS,
                "triggers": [trigger],
            },
        },
    ]


BOTH: tuple[Live, ...] = (KedaRabbitmq(), Exporter())
