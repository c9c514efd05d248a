"""The fleet, as Kubernetes and the workers tell of it."""

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from celery_exporter.fleet import reading
from celery_exporter.fleet.asking import MAX_BYTES
from celery_exporter.fleet.listing import KubernetesAwayError
from celery_exporter.fleet.pods import DELETION_COST
from celery_exporter.fleet.reading import Fleet
from celery_exporter.readings import Counted, Ended, Pod, Work
from celery_exporter.scaling.inflow import OUTAGE_SECONDS
from celery_runtime.health.tally import RECENT_ENDS
from tests.exporter.fleet.conftest import Clock, Release


def only(fleet: Fleet) -> Pod:
    [pod] = fleet.read()
    return pod


def work_of(fleet: Fleet) -> Work:
    work = only(fleet).work
    assert work is not None
    return work


def counted(fleet: Fleet) -> Counted:
    [row] = work_of(fleet).counted
    return row


def test_a_pod_is_what_kubernetes_and_its_worker_say(fleet: Fleet, release: Release) -> None:
    worker = release.start("pod-1", metadata={"annotations": {DELETION_COST: "-7"}})
    worker.work()
    pod = only(fleet)
    assert (pod.name, pod.group, pod.ready, pod.stopping) == ("pod-1", "io", True, False)
    assert pod.deletion_cost == -7
    assert pod.work is not None
    assert (pod.work.worker, pod.work.slots, pod.work.draining) == ("io@pod-1", 4, False)
    assert (pod.work.queues, pod.work.fetched) == (("default", "email"), {"email": 1})
    assert pod.work.running == ()


def test_only_the_pods_of_the_release_s_groups_are_asked_for(
    fleet: Fleet, release: Release
) -> None:
    fleet.read()
    assert release.api.asked[-1] == (
        "/api/v1/namespaces/shop/pods?labelSelector=app.kubernetes.io%2Finstance%3Djobs%2C"
        "app.kubernetes.io%2Fcomponent%3Dworker%2Ccelery-worker-group&resourceVersion=0"
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_left_out(fleet: Fleet, release: Release, phase: str) -> None:
    release.list("evicted", phase=phase)
    assert fleet.read() == []


def test_a_pod_that_does_not_answer_is_there_without_its_work(
    fleet: Fleet, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    release.start("pod-1")
    release.list("silent")
    release.list("pending", ready=False, phase="Pending", podIP=None)
    for _ in range(2):
        works = {pod.name: pod.work is not None for pod in fleet.read()}
        assert works == {"pod-1": True, "silent": False, "pending": False}
    # Said once.
    [line] = [each for each in caplog.messages if "does not answer" in each]
    assert "silent" in line
    assert "refused" in line


def test_a_pod_that_drains_or_is_deleted_is_stopping(fleet: Fleet, release: Release) -> None:
    release.start("pod-1", ready=False).is_draining = True
    release.start("pod-2", metadata={"deletionTimestamp": "2026-01-01T01:00:00Z"})
    pods = fleet.read()
    assert [pod.stopping for pod in pods] == [True, True]
    assert [pod.work is not None for pod in pods] == [True, True]


def test_a_pod_s_start_is_from_its_creation_to_its_first_readiness(
    fleet: Fleet, release: Release
) -> None:
    fleet.read()
    release.list("pod-1", ready=False)
    assert only(fleet).start_seconds is None
    release.list("pod-1")
    assert only(fleet).start_seconds == 7
    late = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T05:00:00Z"}
    release.list("pod-1", conditions=[{**late, "status": "False"}])
    assert only(fleet).start_seconds == 7
    release.list("pod-1", conditions=[late])
    assert only(fleet).start_seconds == 7


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_that_was_there_before_may_have_been_ready_before(
    fleet: Fleet, release: Release, ready: bool
) -> None:
    release.list("pod-1", ready=ready)
    assert only(fleet).start_seconds is None
    release.list("pod-1")
    assert only(fleet).start_seconds is None


def test_what_a_worker_counts_is_told_once(fleet: Fleet, release: Release) -> None:
    worker = release.start("pod-1")
    assert work_of(fleet).counted == ()
    worker.work()
    worker.fail("ValueError")
    row = counted(fleet)
    assert (row.name, row.queue, row.ended) == ("shop.email", "email", 2)
    assert row.counts["received"] == row.counts["started"] == 2
    assert row.counts["succeeded"] == row.counts["failed"] == 1
    assert row.failures == {"ValueError": 1}
    assert (sum(row.runtimes.counts), row.runtimes.sum_seconds) == (1, 1.0)
    assert (sum(row.waits.counts), row.waits.sum_seconds) == (1, 0.2)
    assert work_of(fleet).counted == ()
    worker.work()
    assert counted(fleet).counts["succeeded"] == 1


def test_the_latest_ends_are_told_once(fleet: Fleet, release: Release) -> None:
    worker = release.start("pod-1")
    worker.work(seconds=3)
    end = Ended(name="shop.email", queue="email", runtime_seconds=3, wait_seconds=0.2)
    assert work_of(fleet).ended == (end,)
    assert work_of(fleet).ended == ()
    for _ in range(RECENT_ENDS + 10):
        worker.work()
    assert len(work_of(fleet).ended) == RECENT_ENDS
    worker.work(seconds=3)
    assert work_of(fleet).ended == (end,)


def test_a_worker_that_restarts_counts_from_nothing_and_only_once(
    fleet: Fleet, release: Release
) -> None:
    worker = release.start("pod-1")
    fleet.read()
    for _ in range(5):
        worker.work()
    assert counted(fleet).counts["received"] == 5
    before = work_of(fleet).start
    worker.restart()
    worker.work()
    after = work_of(fleet)
    assert after.start != before
    assert after.counted[0].counts["received"] == 1
    assert work_of(fleet).counted == ()
    worker.work()
    assert len(work_of(fleet).ended) == 1


def test_what_was_counted_before_the_exporter_started_is_not_counted_again(
    make_fleet: Callable[[], Fleet], release: Release, clock: Clock
) -> None:
    worker = release.start("pod-1")
    worker.work()
    fleet = make_fleet()
    worker.tally._started_at -= 60
    assert work_of(fleet).counted == ()
    worker.work()
    assert counted(fleet).counts["received"] == 1
    clock.seconds += 100
    release.start("pod-2").work()
    [_, new] = fleet.read()
    assert new.work is not None
    assert new.work.counted[0].counts["received"] == 1


def test_a_worker_that_was_silent_for_long_is_counted_from_where_it_was(
    fleet: Fleet, release: Release, clock: Clock
) -> None:
    worker = release.start("pod-1")
    worker.work()
    fleet.read()
    release.answer("pod-1", 1)
    for _ in range(3):
        clock.seconds += 1000
        assert only(fleet).work is None
    worker.work()
    release.answer("pod-1", worker.port)
    assert counted(fleet).counts["received"] == 1


def test_a_worker_that_answers_for_two_pods_is_counted_for_one(
    fleet: Fleet, release: Release
) -> None:
    worker = release.start("pod-1")
    worker.work()
    release.list("pod-2")
    release.answer("pod-2", worker.port)
    works = [pod.work for pod in fleet.read()]
    assert sum(len(work.counted) for work in works if work) == 1
    assert works.count(None) == 1


def test_a_name_that_comes_again_is_another_pod(fleet: Fleet, release: Release) -> None:
    fleet.read()
    release.list("cpu-0")
    assert only(fleet).start_seconds == 7
    release.list("cpu-0", ready=False, metadata={"uid": "another"})
    assert only(fleet).start_seconds is None


def test_a_big_fleet_is_asked_less_often(
    fleet: Fleet, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_QUESTIONS_PER_SECOND", 10)
    fleet.read()
    assert fleet.interval_seconds == 2
    for number in range(30):
        release.list(f"pod-{number}")
    fleet.read()
    assert fleet.interval_seconds == 3


def test_a_thousand_workers_are_read_often_enough_to_know_what_arrives() -> None:
    interval_seconds = 1000 / reading.MAX_QUESTIONS_PER_SECOND
    assert interval_seconds + reading.READ_SECONDS < OUTAGE_SECONDS


def test_a_pod_of_no_known_group_and_a_strange_name_is_read_all_the_same(
    fleet: Fleet, release: Release
) -> None:
    name = 'x"}\n{' + "ü" * 300
    release.list(name, metadata={"labels": None, "annotations": {DELETION_COST: "soon"}})
    assert (only(fleet).name, only(fleet).group, only(fleet).deletion_cost) == (name, "", 0)


@pytest.mark.parametrize(("status", "says"), [(403, "verb list on pods"), (500, "500"), (429, "")])
def test_kubernetes_that_refuses_is_an_error_with_its_mend(
    fleet: Fleet, release: Release, status: int, says: str
) -> None:
    release.start("pod-1")
    assert fleet.read()
    release.api.status = status
    with pytest.raises(KubernetesAwayError, match=rf"shop.*{says}"):
        fleet.read()
    release.api.status = 200
    assert fleet.read()


def test_a_token_that_was_replaced_is_read_again(
    fleet: Fleet, release: Release, tmp_path: Path
) -> None:
    release.start("pod-1")
    fleet.read()
    release.api.tokens = {"another"}
    with pytest.raises(KubernetesAwayError, match=r"Unauthorized.*verb list on pods"):
        fleet.read()
    release.api.kubeconfig(tmp_path, token="another")
    assert fleet.read()


def test_kubernetes_that_is_silent_is_given_up_soon(
    fleet: Fleet, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_exporter.kubernetes.ANSWER_SECONDS", 0.3)
    release.api.silent.set()
    with pytest.raises(KubernetesAwayError, match="Timeout"):
        fleet.read()
    release.api.silent.clear()
    assert fleet.read() == []


def test_without_any_credentials_the_error_names_where_they_come_from(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "nowhere")
    with pytest.raises(KubernetesAwayError, match="automountServiceAccountToken: true"):
        fleet.read()


def test_nodes_that_are_lost_hold_up_no_reading(
    fleet: Fleet, release: Release, clock: Clock
) -> None:
    release.start("pod-1")
    fleet.read()
    asked: list[str] = []

    def slow(address: str, port: int, *, after: int) -> bytes:
        asked.append(address)
        if address != "pod-1":
            clock.seconds += 10
        return release.ask(address, port, after=after)

    fleet._ask = slow
    for number in range(100):
        release.list(f"lost-{number}")
    release.list("pod-1")
    works = {pod.name: pod.work for pod in fleet.read()}
    assert works["pod-1"] is not None
    assert asked[0] == "pod-1"
    assert len(asked) < 50
    assert len(works) == 101


def hostile(answer: bytes) -> int:
    """A port where somebody else answers."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with listening, connection:
            connection.recv(1000)
            try:
                connection.sendall(answer)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\n{}",
        b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{",
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 3_000_000,
    ],
)
def test_whoever_answers_something_else_is_not_believed(
    fleet: Fleet, release: Release, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    release.list("pod-1")
    release.answer("pod-1", hostile(answer))
    assert only(fleet).work is None
    [line] = caplog.messages
    assert len(line) < 500
    assert ("more than 2097152 bytes" in line) is (len(answer) > MAX_BYTES)
