"""Who scales: the peers, each as its documentation sets it up, and this project's policy.

A scaler is given a cluster and a source of chance for its phases: nobody syncs at a round second.
Everyone reads the true state at the instant of asking, without the lag of a scrape; that is kinder
to the peers, which have the longer chains, than to us.
"""

import math
import random
from abc import ABC, abstractmethod

from tests.benchmarks.autoscaling import hpa
from tests.benchmarks.autoscaling.cluster import Cluster, Pod, Pods, every
from tests.benchmarks.autoscaling.hpa import Behavior, Hpa
from tests.benchmarks.autoscaling.workloads import Workload

MAX_REPLICAS = 20
#: Kubernetes' own terminationGracePeriodSeconds, where a peer's documentation sets none.
DEFAULT_GRACE_SECONDS = 30.0


class Scaler(ABC):
    """Changes the replicas of a cluster as time goes by."""

    name: str
    idle_first = False
    minimum = 1
    maximum = MAX_REPLICAS
    behavior: Behavior | None = None
    #: Replicas before the first event.
    initial = 0

    def pods(self, workload: Workload, *, start_seconds: float) -> Pods:
        """The pods that this scaler's documentation gives."""
        return Pods(
            start_seconds=start_seconds,
            grace_seconds=self.grace(workload),
            idle_first=self.idle_first,
        )

    def grace(self, workload: Workload) -> float:  # noqa: ARG002
        """The terminationGracePeriodSeconds of the pods."""
        return DEFAULT_GRACE_SECONDS

    def attach(self, cluster: Cluster, rng: random.Random) -> None:
        """Put the syncs of the HPA on the clock."""
        self.cluster = cluster
        self.hpa = Hpa(minimum=self.minimum, maximum=self.maximum, behavior=self.behavior)
        every(cluster, hpa.SYNC_SECONDS, self._sync, first=rng.uniform(0, hpa.SYNC_SECONDS))

    @abstractmethod
    def recommend(self) -> int:
        """What the HPA makes of the metric; asked with one replica or more."""

    def _sync(self) -> None:
        current = self.cluster.replicas
        if (
            current == 0 or self.cluster.blind
        ):  # disabled at zero; without a metric nothing is changed
            return
        wanted = self.hpa.replicas(
            now=self.cluster.now, current=current, recommended=self.recommend()
        )
        self.cluster.scale(wanted)

    def _average_value(self, total: float, target: float) -> int:
        return hpa.average_value(total=total, target=target, replicas=self.cluster.replicas)


class Article(Scaler):
    """The article's HPA: 100 ready messages a pod, 2 to 20 of them."""

    name = "HPA on ready messages"
    minimum = 2
    initial = 2

    def recommend(self) -> int:
        return self._average_value(len(self.cluster.waiting), 100)


class Cpu(Scaler):
    """An HPA at 80 % CPU, of tasks that use a whole share of their pod: its best case."""

    name = "HPA on CPU"
    initial = 1

    def attach(self, cluster: Cluster, rng: random.Random) -> None:
        super().attach(cluster, rng)
        self._busy: dict[Pod, list[int]] = {}
        self._used: dict[Pod, float] = {}
        first = rng.uniform(0, hpa.SYNC_SECONDS)
        every(cluster, 1.0, self._sample, first=first)
        every(cluster, hpa.SYNC_SECONDS, self._scrape, first=first)

    def _sample(self) -> None:
        for pod in self.cluster.pods:
            if pod.ready is not None:
                self._busy.setdefault(pod, []).append(len(pod.running))

    def _scrape(self) -> None:
        """A pod has a sample when it was ready during a whole window."""
        slots = self.cluster.pods_settings.slots
        window = int(hpa.SYNC_SECONDS)
        self._used = {
            pod: sum(busy) / len(busy) / slots
            for pod, busy in self._busy.items()
            if len(busy) >= window
        }
        self._busy = {}

    def recommend(self) -> int:
        active = self.cluster.active
        used = [self._used[pod] for pod in active if pod in self._used]
        return hpa.utilization(
            used=used, unready=len(active) - len(used), target=0.8, replicas=self.cluster.replicas
        )


class Keda(Scaler):
    """KEDA between zero and one, an HPA that it made above that."""

    polling_seconds = 30.0
    cooldown_seconds = 300.0

    def attach(self, cluster: Cluster, rng: random.Random) -> None:
        super().attach(cluster, rng)
        self._last_active = -math.inf
        every(cluster, self.polling_seconds, self._poll, first=rng.uniform(0, self.polling_seconds))

    @property
    @abstractmethod
    def active(self) -> bool:
        """Whether there may be a first replica."""

    def _poll(self) -> None:
        cluster = self.cluster
        if self.cluster.blind:  # an error neither activates nor scales to zero
            return
        if self.active:
            self._last_active = cluster.now
            if cluster.replicas == 0:
                cluster.scale(1)
        elif cluster.replicas and cluster.now - self._last_active > self.cooldown_seconds:
            cluster.scale(0)


class KedaReady(Keda):
    """KEDA's rabbitmq trigger as it is: 20 ready messages a pod."""

    name = "KEDA rabbitmq"

    @property
    def active(self) -> bool:
        return bool(self.cluster.waiting)

    def recommend(self) -> int:
        return self._average_value(len(self.cluster.waiting), 20)


class KedaTotal(Keda):
    """KEDA's rabbitmq trigger over HTTP: as many messages, ready or not, as a pod has slots."""

    name = "KEDA rabbitmq, total"

    @property
    def messages(self) -> int:
        return len(self.cluster.waiting) + self.cluster.running

    @property
    def active(self) -> bool:
        return self.messages > 0

    def recommend(self) -> int:
        return self._average_value(self.messages, self.cluster.pods_settings.slots)


class Airflow(KedaTotal):
    """Airflow's chart: the query rounds queued and running tasks up to workers itself."""

    name = "Airflow"
    polling_seconds = 5.0
    cooldown_seconds = 30.0
    behavior = Behavior()

    def grace(self, workload: Workload) -> float:  # noqa: ARG002
        return 600.0

    def recommend(self) -> int:
        return self._average_value(math.ceil(self.messages / self.cluster.pods_settings.slots), 1)


class KedaTime(KedaTotal):
    """KEDA's ExpectedQueueConsumptionTime: the promised wait as its target, of type Value."""

    name = "KEDA consumption time"
    polling_seconds = 1.0  # as its documentation asks

    def attach(self, cluster: Cluster, rng: random.Random) -> None:
        super().attach(cluster, rng)
        self._counts = (0, 0)
        self._rates = (0.0, 0.0)
        every(cluster, 5.0, self._scrape, first=rng.uniform(0, 5))

    def _scrape(self) -> None:
        """RabbitMQ's rates are those between its last two samples, five seconds apart."""
        counts = (self.cluster.arrived, self.cluster.delivered)
        published, delivered = (
            (new - old) / 5 for new, old in zip(counts, self._counts, strict=True)
        )
        self._counts, self._rates = counts, (published, delivered)

    @property
    def active(self) -> bool:
        delivered = self._rates[1]
        return self.messages > 0 and (delivered == 0 or self._eta() > 0)

    def _eta(self) -> float:
        published, delivered = self._rates
        if not self.messages or not delivered:
            return 0
        return (published - delivered) / delivered + self.messages / delivered

    def recommend(self) -> int:
        ready = sum(pod.ready is not None for pod in self.cluster.pods)
        return hpa.value(
            metric=max(self._eta(), 0),
            target=self.cluster.workload.promised_wait_seconds,
            replicas=self.cluster.replicas,
            ready=ready,
        )


PEERS: tuple[type[Scaler], ...] = (Article, KedaReady, KedaTotal, Airflow, Cpu, KedaTime)
