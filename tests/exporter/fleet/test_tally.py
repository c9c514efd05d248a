"""What workers count themselves, as the page of metrics tells it."""

import pytest

from celery_exporter import metrics
from celery_exporter.fleet.reading import Fleet
from celery_exporter.metrics import Health, Snapshot
from celery_exporter.readings import Pod, Reading, Running, Work
from celery_exporter.state.counting import State
from celery_exporter.state.workers import FORGOTTEN_AFTER_SECONDS, LOST_AFTER_SECONDS
from tests.exporter.conftest import Samples, samples_of, value
from tests.exporter.fleet.conftest import Release

EMAIL = {"name": "shop.email", "queue_name": "email"}
SEEN = {**EMAIL, "hostname": "pod-1"}


@pytest.fixture
def state() -> State:
    return State(default_queue="default")


def samples(state: State, now: float = 1.0) -> Samples:
    return samples_of(
        metrics.page(
            Snapshot(
                state=state,
                reading=Reading(),
                health=Health(),
                dead_letters={},
                oldest_seconds={},
                now=now,
            )
        )
    )


def running(name: str, *queues: str) -> Pod:
    """A pod whose worker runs a task of each of these queues."""
    return Pod(
        name=name,
        group="io",
        ready=True,
        stopping=False,
        start_seconds=None,
        deletion_cost=0,
        work=Work(
            worker=f"io@{name}",
            slots=4,
            draining=False,
            queues=("email",),
            running=[Running(name="shop.email", queue=queue, seconds=1) for queue in queues],
            fetched={},
        ),
    )


def test_tasks_have_the_names_labels_and_bounds_that_events_give_them(
    fleet: Fleet, release: Release, state: State
) -> None:
    worker = release.start("pod-1")
    worker.work()
    worker.fail("ValueError")
    for now in (1, 2):
        state.tally(fleet.read(), now)
    seen = samples(state)
    for kind, count in {"received": 2, "started": 2, "succeeded": 1, "retried": 0}.items():
        assert value(seen, f"celery_task_{kind}_total", **SEEN) == count
    assert value(seen, "celery_task_failed_total", **SEEN, exception="ValueError") == 1
    assert value(seen, "celery_task_total", status="success") == 1
    assert value(seen, "celery_task_total", status="failure") == 1
    assert value(seen, "celery_task_runtime_bucket", **EMAIL, le="0.75") == 0
    assert value(seen, "celery_task_runtime_bucket", **EMAIL, le="1.0") == 1
    assert value(seen, "celery_task_runtime_sum", **EMAIL) == 1.0
    assert value(seen, "celery_task_queue_wait_time_bucket", **EMAIL, le="0.1") == 0
    assert value(seen, "celery_task_queue_wait_time_bucket", **EMAIL, le="0.25") == 1
    assert value(seen, "celery_task_queue_wait_time_count", **EMAIL) == 1


def test_nothing_is_said_of_what_only_producers_know(
    fleet: Fleet, release: Release, state: State
) -> None:
    release.start("pod-1").work()
    state.tally(fleet.read(), 1)
    state.tally(fleet.read(), 60)
    seen = samples(state)
    assert not [name for name, _ in seen if name == "celery_task_sent_total"]
    assert value(seen, "celery_queue_arrivals_per_second", queue_name="email") is None
    assert value(seen, "celery_queue_completions_per_second", queue_name="email") is not None


def test_totals_stay_when_a_worker_restarts_and_when_its_pod_goes(
    fleet: Fleet, release: Release, state: State
) -> None:
    worker = release.start("pod-1")
    for _ in range(3):
        worker.work()
    state.tally(fleet.read(), 1)
    worker.restart()
    worker.work()
    state.tally(fleet.read(), 2)
    release.unlist("pod-1")
    state.tally(fleet.read(), 3)
    assert value(samples(state), "celery_task_succeeded_total", **SEEN) == 4
    release.start("pod-2").work()
    state.tally(fleet.read(), FORGOTTEN_AFTER_SECONDS + 10)
    seen = samples(state)
    assert value(seen, "celery_task_succeeded_total", **SEEN) is None
    assert value(seen, "celery_task_total", status="success") == 5


def test_workers_say_what_they_run_and_can_run(state: State) -> None:
    state.tally([running("pod-1", "email", "email", "default"), running("pod-2", "email")], 1)
    state.tally([running("pod-1", "email"), running("pod-2", "email")], 2)
    seen = samples(state, 2)
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 2
    assert value(seen, "celery_queue_running_tasks", queue_name="default") == 0
    assert value(seen, "celery_worker_tasks_active", hostname="pod-1") == 1
    assert value(seen, "celery_worker_concurrency", hostname="pod-1") == 4
    assert value(seen, "celery_worker_up", hostname="pod-1") == 1
    assert value(seen, "celery_active_worker_count", queue_name="email") == 2
    assert value(seen, "celery_active_process_count", queue_name="email") == 8


def test_a_pod_that_is_gone_is_down_and_runs_nothing(state: State) -> None:
    state.tally([running("pod-1", "email"), running("pod-2", "email")], 1)
    state.tally([running("pod-2", "email")], 2)
    seen = samples(state, 2)
    assert value(seen, "celery_worker_up", hostname="pod-1") == 0
    assert value(seen, "celery_worker_tasks_active", hostname="pod-1") == 0
    assert value(seen, "celery_queue_running_tasks", queue_name="email") == 1


def test_a_worker_that_does_not_answer_is_down_after_a_while(state: State) -> None:
    silent = Pod(**{**vars(running("pod-1")), "work": None})
    state.tally([running("pod-1", "email")], 1)
    state.tally([silent], LOST_AFTER_SECONDS)
    assert value(samples(state, 90), "celery_worker_up", hostname="pod-1") == 1
    assert value(samples(state, 90), "celery_queue_running_tasks", queue_name="email") == 1
    late = LOST_AFTER_SECONDS + 10
    state.tally([silent], late)
    assert value(samples(state, late), "celery_worker_up", hostname="pod-1") == 0
    assert value(samples(state, late), "celery_queue_running_tasks", queue_name="email") == 0
    state.tally([running("pod-1", "email")], late + 1)
    assert value(samples(state, late + 1), "celery_queue_running_tasks", queue_name="email") == 1


def test_two_workers_of_one_name_leave_one_by_one(state: State) -> None:
    both = [running("pod-1", "email"), Pod(**{**vars(running("pod-1", "email")), "name": "twin"})]
    state.tally(both, 1)
    state.tally(both[:1], 2)
    assert value(samples(state, 2), "celery_worker_up", hostname="pod-1") == 1
    state.tally([], 3)
    assert value(samples(state, 3), "celery_worker_up", hostname="pod-1") == 0
    assert value(samples(state, 3), "celery_queue_running_tasks", queue_name="email") == 0
