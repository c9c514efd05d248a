"""Groups, pods and readings as tests need them."""

from collections.abc import Mapping, Sequence

from celery_exporter.groups import Autoscaling, Group
from celery_exporter.readings import Depth, Pod, Reading, Running, Work
from celery_exporter.scaling import Board

NO_AGES: Mapping[str, float] = {}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def group(
    name: str = "io",
    *queues: str,
    slots: int = 4,
    minimum: int = 0,
    maximum: int = 20,
    wait_seconds: float = 30.0,
    scaled: bool = True,
) -> Group:
    limits = Autoscaling(
        min_replicas=minimum, max_replicas=maximum, queue_wait_seconds=wait_seconds
    )
    return Group(
        name=name,
        queues=queues or ("email",),
        slots=slots,
        max_task_seconds=300,
        autoscaling=limits if scaled else None,
    )


def work(
    *running_seconds: float, fetched: int | Mapping[str, int] = 0, queue: str = "email"
) -> Work:
    tasks = [Running(name="shop.send", queue=queue, seconds=each) for each in running_seconds]
    counts = {queue: fetched} if isinstance(fetched, int) else fetched
    return Work(slots=4, draining=False, running=tasks, fetched=counts)


def pod(
    name: str = "io-1",
    *,
    does: Work | None = None,
    of: str = "io",
    ready: bool = True,
    stopping: bool = False,
    start_seconds: float | None = 5.0,
    cost: int = 0,
) -> Pod:
    return Pod(
        name=name,
        group=of,
        ready=ready,
        stopping=stopping,
        start_seconds=start_seconds,
        deletion_cost=cost,
        work=does,
    )


def reading(**ready: int) -> Reading:
    return Reading(depths={queue: Depth(ready=count) for queue, count in ready.items()})


class World:
    """A board, whose broker and fleet are these fields."""

    def __init__(self, *groups: Group) -> None:
        self.clock = Clock()
        self.groups = groups or (group(),)
        queues = {queue for each in self.groups for queue in each.queues}
        dead = {queue: f"{queue}.dead" for queue in queues}
        self.board = Board(
            self.groups, dead_letters=dead, clock=self.clock, wall=lambda: self.clock.now + 1e9
        )
        self.ready: dict[str, int] | None = dict.fromkeys(queues, 0)
        self.pods: Sequence[Pod] | None = []

    interval_seconds = 1.0

    def read(self) -> Sequence[Pod]:
        if self.pods is None:
            raise ConnectionRefusedError("Kubernetes cannot be asked for pods")
        return self.pods

    def tick(self, seconds: float = 1.0, *, times: int = 1) -> None:
        """Let time pass, and read everything once a tick."""
        for _ in range(times):
            self.clock.now += seconds
            self.board.read_fleet(self)
            queues = [queue for each in self.groups for queue in each.queues]
            away = Reading(unread=dict.fromkeys(queues, "away"))
            self.board.take_broker(away if self.ready is None else reading(**self.ready), NO_AGES)

    def desired(self, name: str = "io") -> int | None:
        plan = self.board.plan(name)
        return plan.decision.replicas if plan and plan.decision else None
