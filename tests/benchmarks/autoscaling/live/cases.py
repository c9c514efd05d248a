"""What is sent to the real cluster: small versions of Z and K, for a machine of two cores."""

from dataclasses import dataclass

SLOTS = 4
MAX_REPLICAS = 6
PROMISED_WAIT_SECONDS = 30
#: Of all tasks, so many may start late.
PROMISED_SHARE = 0.95


@dataclass(frozen=True, kw_only=True)
class Case:
    """Tasks that are sent to an empty queue while no pod is there."""

    name: str
    title: str
    #: How many, and for how many seconds each runs; sent in this order.
    batches: tuple[tuple[int, float], ...]
    max_task_seconds: int
    #: From the sending on; what is not done by then stays undone.
    watch_seconds: float

    @property
    def service_seconds(self) -> list[float]:
        """Of each task, in the order of sending."""
        return [seconds for count, seconds in self.batches for _ in range(count)]


CASES = (
    Case(
        name="Z",
        title="burst from zero",
        batches=((100, 4.0),),
        max_task_seconds=60,
        # KEDA's cooldown of 300 s is over by then.
        watch_seconds=400,
    ),
    # The long one outlasts the HPA's default window of 300 s, KEDA's cooldown of 300 s, and a grace
    # period of 30 s after either.
    Case(
        name="K",
        title="kill trap",
        batches=((60, 4.0), (1, 420.0), (60, 4.0)),
        max_task_seconds=900,
        watch_seconds=560,
    ),
)
