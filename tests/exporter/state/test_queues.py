"""Rates over the last minute."""

from celery_exporter.state.queues import SAMPLE_SECONDS, QueueCounts


def run(queue: QueueCounts, *, sent: int, ended: int, first: int, last: int) -> None:
    for now in range(first, last + 1, SAMPLE_SECONDS):
        queue.sent += sent * SAMPLE_SECONDS
        queue.ended += ended * SAMPLE_SECONDS
        queue.sample(now)


def test_rates_are_those_of_the_last_minute() -> None:
    queue = QueueCounts("email")
    run(queue, sent=100, ended=50, first=0, last=300)
    run(queue, sent=10, ended=5, first=305, last=365)
    assert (queue.arrivals_per_second(), queue.completions_per_second()) == (10, 5)


def test_there_is_no_rate_of_one_moment_and_no_arrivals_where_producers_are_silent() -> None:
    queue = QueueCounts("email")
    queue.sample(0)
    assert (queue.arrivals_per_second(), queue.completions_per_second()) == (None, None)
    queue.ended = 10
    queue.sample(5)
    assert (queue.arrivals_per_second(), queue.completions_per_second()) == (None, 2)
    assert QueueCounts("other").running_tasks() is None


def test_an_idle_queue_keeps_few_samples() -> None:
    queue = QueueCounts("email")
    run(queue, sent=0, ended=0, first=0, last=10_000)
    assert len(queue._samples) == 13
