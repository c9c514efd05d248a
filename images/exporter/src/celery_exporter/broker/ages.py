"""How long the oldest message of a queue waits, from what stands at its head."""

from collections.abc import Callable

from celery_exporter.readings import Reading


class Ages:
    """Remembers since when a message stands at the head of its queue."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def of(
        self, reading: Reading, *, sent_at: Callable[[str], float | None], now: float
    ) -> dict[str, float]:
        """The age for each queue whose head is known.

        Where it was not seen when the message was sent, its age is at least the time that it has
        been the next.
        """
        heads = [(queue, head) for queue, depth in reading.depths.items() for head in depth.heads]
        self._since = {each: self._since.get(each, now) for each in heads}
        ages: dict[str, float] = {}
        for queue, head in heads:
            sent = sent_at(head)
            age = now - (self._since[queue, head] if sent is None else sent)
            ages[queue] = max(age, ages.get(queue, 0.0))
        return ages
