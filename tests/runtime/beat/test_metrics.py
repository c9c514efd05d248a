"""What beat tells Prometheus."""

import re
from http.client import HTTPConnection

from celery_runtime.beat.probes import BeatProbes
from celery_runtime.health.server import Server


def test_the_metrics_are_in_the_text_format_and_0_means_never() -> None:
    probes = BeatProbes()
    assert probes.metrics() == (
        "# HELP celery_beat_last_tick_timestamp_seconds When everything that was due had been "
        "sent.\n"
        "# TYPE celery_beat_last_tick_timestamp_seconds gauge\n"
        "celery_beat_last_tick_timestamp_seconds 0.000\n"
        "# HELP celery_beat_last_sent_timestamp_seconds When the broker took a task.\n"
        "# TYPE celery_beat_last_sent_timestamp_seconds gauge\n"
        "celery_beat_last_sent_timestamp_seconds 0.000\n"
    )


def test_a_tick_that_could_not_send_everything_is_not_a_fresh_one() -> None:
    probes = BeatProbes()
    probes.ticked()
    before = probes.metrics()
    assert re.search(r"last_tick_timestamp_seconds \d{10}\.\d{3}\n", before)
    probes.waiting("the broker")
    assert probes.metrics() == before


def test_a_page_is_served_beside_the_probes() -> None:
    server = Server(BeatProbes(), port=0, pages={"/metrics": lambda: "a 1\n"})
    server.start()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.read() == b"a 1\n"
    connection.close()
