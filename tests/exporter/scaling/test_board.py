"""What is shown, told and remembered of plans."""

from celery_exporter.scaling import metrics
from celery_exporter.scaling.board import STALE_SECONDS
from celery_exporter.scaling.history import EVENTS, SAMPLE_SECONDS, SAMPLES
from tests.exporter.conftest import samples_of, value
from tests.exporter.worlds import World, group, pod, work


def page_of(world: World) -> str:
    return metrics.page(world.board.view, streams=2, patched=3, refused=1)


def test_the_page_tells_what_is_wanted_and_why() -> None:
    world = World(group("io", wait_seconds=10), group("fixed", "bulk", scaled=False))
    world.ready = {"email": 400, "bulk": 0}
    world.pods = [pod("io-1", does=work(1.0)), pod("io-2", does=work())]
    world.tick()
    seen = samples_of(page_of(world))
    wanted = [labels for name, labels in seen if name == "celery_worker_desired_replicas"]
    assert [dict(labels) for labels in wanted] == [{"group": "io", "reason": "maximum"}]
    assert value(seen, "celery_group_replicas", group="io") == 2
    assert value(seen, "celery_group_ready_replicas", group="io") == 2
    assert value(seen, "celery_group_idle_replicas", group="io") == 1
    assert value(seen, "celery_group_running_tasks", group="io") == 1
    assert value(seen, "celery_group_replicas", group="fixed") == 0
    assert value(seen, "celery_group_queue_wait_promise_seconds", group="io") == 10
    assert value(seen, "celery_group_queue_wait_promise_seconds", group="fixed") is None
    assert value(seen, "celery_queue_wait_promise_seconds", queue_name="email") == 10
    assert value(seen, "celery_queue_wait_promise_seconds", queue_name="bulk") is None
    assert value(seen, "celery_exporter_scaling_frozen", group="io") == 0
    assert value(seen, "celery_exporter_scaler_streams") == 2
    patches = "celery_exporter_deletion_cost_patches_total"
    assert value(seen, patches, outcome="patched") == 3
    assert value(seen, patches, outcome="refused") == 1


def test_what_is_not_known_has_no_sample_and_the_group_is_frozen() -> None:
    world = World()
    world.pods = None
    world.tick()
    seen = samples_of(page_of(world))
    assert value(seen, "celery_group_replicas", group="io") is None
    assert value(seen, "celery_exporter_scaling_frozen", group="io") == 1


def test_a_plan_that_nothing_renews_is_none() -> None:
    world = World()
    world.tick()
    assert world.board.plan("io") is not None
    world.clock.now += STALE_SECONDS + 1
    assert world.board.plan("io") is None


def test_changes_of_what_is_wanted_are_remembered_the_newest_first_and_the_last_fifty() -> None:
    world = World()
    world.tick()
    for number in range(EVENTS + 10):
        world.ready = {"email": 1 - number % 2}
        world.tick(times=2)
    events = world.board.overview().events
    assert len(events) == EVENTS
    assert (events[0].group, events[0].before, events[0].after) == ("io", 1, 0)
    assert events[0].at > events[-1].at
    assert events[0].reason == "idle"


def test_an_hour_is_remembered_a_sample_every_thirty_seconds() -> None:
    world = World()
    world.ready = {"email": 3}
    for _ in range(SAMPLES + 20):
        world.tick(5.0, times=SAMPLE_SECONDS // 5)
    world.tick(times=3)
    overview = world.board.overview()
    queue, groups = overview.queue_samples["email"], overview.group_samples["io"]
    assert len(queue) == len(groups) == SAMPLES
    assert queue[-1].at - queue[0].at == (SAMPLES - 1) * SAMPLE_SECONDS
    assert (queue[-1].waiting, groups[-1].replicas, groups[-1].desired) == (3, 0, 1)


def test_the_overview_says_what_is_and_what_cannot_be_read() -> None:
    world = World(group("io", wait_seconds=10), group("slow", wait_seconds=60))
    world.ready = {"email": 7}
    world.pods = [pod("io-1", does=work(1.0))]
    world.tick()
    overview = world.board.overview()
    (queue,) = overview.queues
    assert (queue.name, queue.waiting, queue.running, queue.promised_seconds) == ("email", 7, 1, 10)
    assert [each.name for each in overview.groups] == ["io", "slow"]
    assert overview.groups[0].desired == world.desired()
    assert overview.problems == []
    world.ready, world.pods = None, None
    world.tick()
    problems = world.board.overview().problems
    assert any("Kubernetes cannot be asked" in problem for problem in problems)
    assert "email cannot be read: away" in problems
    assert world.board.overview().queues[0].waiting is None
