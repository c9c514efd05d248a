"""Each alert fires at its limit, not before, and not where all is well and looks alike."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.promtool import BEAT, Firing, Rules, Series, series

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

RUNBOOKS = Path(__file__).parents[2] / "charts" / "celery" / "docs" / "runbooks.md"
NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
OWN_RABBITMQ = NO_RABBITMQ | {"broker": {"mode": "existing", "existingSecret": "mq"}}
WAIT = {"minReplicas": 0, "maxReplicas": 20, "queueWaitSeconds": 10}
MONITORED = {"alerts": {"enabled": True}}

LENGTH = series("celery_queue_length", queue_name="email")
RUNNING = series("celery_queue_running_tasks", queue_name="email")
COMPLETIONS = series("celery_queue_completions_per_second", queue_name="email")
WORKERS = series("celery_active_worker_count", queue_name="email")
OLDEST = series("celery_queue_oldest_message_age_seconds", queue_name="email")
PROMISE = series("celery_queue_wait_promise_seconds", queue_name="email")
DEAD = series("celery_dead_letter_queue_length", queue_name="email")
HELD = series("celery_queue_held_dead_letters", queue_name="email")
HELD_DELAYED = series("celery_delay_queue_held_messages", queue_name="celery_delayed_4")
MEMBERS = series("celery_queue_members", queue_name="email")
ONLINE = series("celery_queue_online_members", queue_name="email")
UP = series("up")
FROZEN = series("celery_exporter_scaling_frozen", group="io")
TICK = series("celery_beat_last_tick_timestamp_seconds", BEAT)
ALL_FAILED = series("celery_task_total", status="failure")
ALL_SUCCEEDED = series("celery_task_total", status="success")
ALL_RETRIED = series("celery_task_total", status="retry")


def source(name: str) -> str:
    return series("celery_exporter_up", source=name)


def failed(hostname: str = "io-1", **more: str) -> str:
    task = {"name": "shop.charge", "queue_name": "email", "hostname": hostname}
    return series("celery_task_failed_total", **(task | more))


def succeeded(hostname: str = "io-1") -> str:
    labels = {"name": "shop.charge", "queue_name": "email", "hostname": hostname}
    return series("celery_task_succeeded_total", **labels)


def restarts(pod: str, namespace: str = "celery-demo") -> str:
    of = {"namespace": namespace, "pod": pod, "container": "worker", "job": "kube-state-metrics"}
    return series("kube_pod_container_status_restarts_total", of)


def email(description: str) -> Firing:
    return Firing(labels={"queue_name": "email"}, description=description)


def io(description: str) -> Firing:
    return Firing(labels={"workload": "jobs-worker-io"}, description=description)


AWAY = Firing(
    description="For 5 minutes Prometheus has had no metrics of queues, tasks and workers: no "
    "alert on them can fire, and what scales by the exporter stays as it is."
)
#: Everything that is known of a release at zero pods with nothing to do.
AT_REST: Series = {
    LENGTH: "0x60",
    RUNNING: "0x60",
    COMPLETIONS: "0x60",
    WORKERS: "0x60",
    PROMISE: "10x60",
    DEAD: "0x60",
    HELD: "0x60",
    HELD_DELAYED: "0x60",
    MEMBERS: "3x60",
    ONLINE: "3x60",
    UP: "1x60",
    FROZEN: "0x60",
    TICK: "0+60x60",
    ALL_FAILED: "0x60",
    ALL_SUCCEEDED: "0x60",
    source("broker"): "1x60",
    source("workers"): "1x60",
    series("celery_exporter_queue_up", queue_name="email"): "1x60",
    restarts("jobs-beat-6d-fghij"): "0x60",
}

#: The alert, what is measured, the last minute at which it is silent, the first at which it fires,
#: and how.
FIRES: list[tuple[str, Series, int, int, Firing]] = [
    (
        "CeleryQueueTooLong",
        {LENGTH: "10000x9 10001x20"},
        14,
        15,
        email(
            "10k messages wait in email; for 5 minutes it has been more than 10000.",
        ),
    ),
    (
        "CeleryFailures",
        {ALL_FAILED: "0x10 3+3x20", ALL_SUCCEEDED: "0x10 97+97x20", ALL_RETRIED: "0+99x30"},
        13,
        14,
        Firing(
            description="3% of all tasks that ended in the last 10 minutes failed; the limit is 2%."
        ),
    ),
    (
        "CeleryFailures",
        {ALL_FAILED: "0x10 21+21x20", ALL_SUCCEEDED: "0x10 979+979x20"},
        10,
        11,
        Firing(
            description="2.1% of all tasks that ended in the last 10 minutes failed; "
            "the limit is 2%."
        ),
    ),
    (
        "CeleryTaskFailing",
        {failed(): "0x10 2+2x20", succeeded(): "0x30"},
        14,
        15,
        Firing(
            labels={"name": "shop.charge"},
            description="100% of shop.charge that ended in the last 10 minutes failed; "
            "the limit is 2%.",
        ),
    ),
    (
        "CeleryTaskFailing",
        # A pod whose failures are all there when it is first seen: increase() would see none.
        {
            UP: "1x30",
            failed("io-2", exception="KeyError"): "_x9 30x10",
            succeeded("io-2"): "_x9 270x10",
        },
        9,
        10,
        Firing(
            labels={"name": "shop.charge"},
            description="10% of shop.charge that ended in the last 10 minutes failed; "
            "the limit is 2%.",
        ),
    ),
    (
        "CeleryRestarts",
        {restarts("jobs-worker-io-5f-aaaaa"): "0 1 2 3 3 4x20"},
        4,
        5,
        io(
            "Containers of jobs-worker-io were restarted 4 times in 15 minutes; the limit is 3.",
        ),
    ),
    (
        "CeleryRestarts",
        {
            restarts("jobs-worker-io-5f-aaaaa"): "7x4 9x20",
            restarts("jobs-worker-io-5f-bbbbb"): "0x4 1 2x20",
        },
        5,
        6,
        io(
            "Containers of jobs-worker-io were restarted 4 times in 15 minutes; the limit is 3.",
        ),
    ),
    (
        "CeleryWaitOverPromise",
        {OLDEST: "10x9 12x20", PROMISE: "10x30"},
        14,
        15,
        email(
            "The oldest message in email has waited for 12s; for 5 minutes it has been "
            "more than the queueWaitSeconds of its group.",
        ),
    ),
    (
        "CeleryNothingConsumed",
        {LENGTH: "7x30", RUNNING: "1x9 0x20", COMPLETIONS: "0x30"},
        14,
        15,
        email(
            "7 messages wait in email, and for 5 minutes no task of it has run or ended.",
        ),
    ),
    (
        "CeleryNothingConsumed",
        # No worker has ever told of this queue; that none consumes it is known.
        {LENGTH: "0x9 1x20", WORKERS: "0x30"},
        14,
        15,
        email(
            "1 messages wait in email, and for 5 minutes no task of it has run or ended.",
        ),
    ),
    (
        "CeleryDeadLetters",
        {DEAD: "0x9 1x20"},
        9,
        10,
        email(
            "1 messages of email could not be finished and wait among the dead letters; "
            "the limit is 0.",
        ),
    ),
    (
        "CeleryDeadLettersHeld",
        {HELD: "0x4 14x30"},
        9,
        10,
        email(
            "For 5 minutes 14 messages that died in email have not come among its dead letters: "
            "CeleryDeadLetters does not see them, and nobody can replay them."
        ),
    ),
    (
        "CeleryDelayedTasksHeld",
        {HELD_DELAYED: "0x4 2x3 5x30"},
        9,
        10,
        Firing(
            labels={"queue_name": "celery_delayed_4"},
            description="For 5 minutes 5 tasks with a countdown, an ETA or a retry to come have "
            "been due and are still in celery_delayed_4: they do not run.",
        ),
    ),
    (
        "CeleryBeatSilent",
        {TICK: "0+60x10 600x20"},
        14,
        15,
        Firing(
            description="Beat last sent what was due 5m 0s ago; the limit is 120 seconds.",
        ),
    ),
    (
        "CeleryBeatSilent",
        {},
        1,
        2,
        Firing(
            description="Beat does not answer, or has not sent anything since it started; "
            "the limit is 120 seconds.",
        ),
    ),
    (
        "CeleryQueueUnderReplicated",
        {MEMBERS: "3x30", ONLINE: "3x4 2x30"},
        14,
        15,
        email(
            "For 10 minutes only 2 nodes of RabbitMQ have had email: one that has a copy "
            "is away, or fewer than 1 were given one.",
        ),
    ),
    ("CeleryExporterAway", {UP: "1x9 0x20"}, 14, 15, AWAY),
    ("CeleryExporterAway", {}, 4, 5, AWAY),
    (
        "CeleryExporterBlind",
        {source("workers"): "1x9 0x20", source("broker"): "1x30"},
        14,
        15,
        Firing(
            labels={"source": "workers"},
            description="For 5 minutes its source workers has not answered: alerts that need it "
            "cannot fire.",
        ),
    ),
    (
        "CeleryExporterBlind",
        {series("celery_exporter_queue_up", queue_name="email"): "1x9 0x20"},
        14,
        15,
        email(
            "For 5 minutes the broker has told nothing of the queue email: alerts that "
            "need it cannot fire.",
        ),
    ),
    (
        "CeleryExporterBlind",
        # It answers, and tells nothing.
        {UP: "1x30", source("broker"): "1x9 stale"},
        14,
        15,
        Firing(
            labels={"source": "broker"},
            description="For 5 minutes its source broker has not answered: alerts that need it "
            "cannot fire.",
        ),
    ),
    (
        "CeleryScalingFrozen",
        {FROZEN: "0x4 1x30"},
        14,
        15,
        Firing(
            labels={"group": "io"},
            description="For 10 minutes too little has been known to take pods away from io: it "
            "keeps those that it has, and grows by messages alone.",
        ),
    ),
]

#: The alert, what looks like its reason, and what is measured then.
QUIET: list[tuple[str, str, Series]] = [
    ("CeleryQueueTooLong", "at the limit", {LENGTH: "10000x60"}),
    ("CeleryQueueTooLong", "a burst that is worked off", {LENGTH: "0x9 50000x4 9000x40"}),
    (
        "CeleryQueueTooLong",
        "another release",
        {series("celery_queue_length", service="other-exporter", queue_name="email"): "20000x60"},
    ),
    ("CeleryFailures", "one failure at night", {ALL_FAILED: "0x9 1x50", ALL_SUCCEEDED: "0x60"}),
    ("CeleryFailures", "below the limit", {ALL_FAILED: "0+19x60", ALL_SUCCEEDED: "0+981x60"}),
    (
        "CeleryFailures",
        "retries that succeed",
        {ALL_RETRIED: "0+50x60", ALL_FAILED: "0x60", ALL_SUCCEEDED: "0+50x60"},
    ),
    (
        "CeleryFailures",
        "an exporter that restarts",
        {
            ALL_FAILED: "400x30 stale",
            series("celery_task_total", pod="jobs-exporter-5f-new", status="failure"): "_x31 0x30",
            ALL_SUCCEEDED: "9000+100x30 stale",
        },
    ),
    ("CeleryTaskFailing", "one failure at night", {failed(): "0x9 1x50", succeeded(): "0x60"}),
    (
        "CeleryTaskFailing",
        "one failure on each of nine new pods",
        {UP: "1x60", succeeded(): "0x60"} | {failed(f"io-{pod}"): "_x14 1x50" for pod in range(9)},
    ),
    (
        "CeleryTaskFailing",
        "a scrape that was missed, of a counter that stands",
        {UP: "1x60", failed(): "500x14 stale _ 500x50", succeeded(): "0x60"},
    ),
    (
        "CeleryTaskFailing",
        "a Prometheus that begins to look",
        {UP: "1x60", failed(): "500x60", succeeded(): "0x60"},
    ),
    ("CeleryRestarts", "three", {restarts("jobs-worker-io-5f-aaaaa"): "5x9 6 7 8x50"}),
    (
        "CeleryRestarts",
        "spread over hours",
        {restarts("jobs-worker-io-5f-aaaaa"): "0x9 1x6 2x6 3x6 4x30"},
    ),
    (
        "CeleryRestarts",
        "pods of others",
        {
            restarts("web-5f-aaaaa"): "0+1x60",
            restarts("jobs-worker-io-5f-aaaaa", "elsewhere"): "0+1x60",
        },
    ),
    (
        "CeleryRestarts",
        "four Deployments, once each",
        {restarts(f"jobs-worker-{group}-5f-aaaaa"): "0x9 1x50" for group in "abcd"},
    ),
    ("CeleryWaitOverPromise", "just kept", {OLDEST: "10x60", PROMISE: "10x60"}),
    ("CeleryWaitOverPromise", "pods that start", {OLDEST: "0x9 40 60 30 5x40", PROMISE: "10x60"}),
    ("CeleryWaitOverPromise", "nothing promised", {OLDEST: "5000x60"}),
    (
        "CeleryWaitOverPromise",
        "the promise of another queue",
        {OLDEST: "40x60", series("celery_queue_wait_promise_seconds", queue_name="bulk"): "10x60"},
    ),
    (
        "CeleryNothingConsumed",
        "long tasks on all slots",
        {LENGTH: "500x60", RUNNING: "2x60", COMPLETIONS: "0x60", WORKERS: "1x60"},
    ),
    (
        "CeleryNothingConsumed",
        "tasks too short to be seen running",
        {LENGTH: "500x60", RUNNING: "0x60", COMPLETIONS: "90x60", WORKERS: "1x60"},
    ),
    (
        "CeleryNothingConsumed",
        "pods that start",
        {LENGTH: "0x9 3x3 0x40", WORKERS: "0x12 1x40", RUNNING: "0x12 1x40", COMPLETIONS: "0x60"},
    ),
    ("CeleryNothingConsumed", "nothing known of workers", {LENGTH: "500x60"}),
    ("CeleryDeadLetters", "nothing known", {LENGTH: "500x60"}),
    ("CeleryDeadLettersHeld", "nodes that restart", {HELD: "0x4 14x4 0x5 3x4 0x40"}),
    ("CeleryDeadLettersHeld", "nothing known", {DEAD: "500x60"}),
    ("CeleryDelayedTasksHeld", "nodes that restart", {HELD_DELAYED: "0x4 14x4 0x5 3x4 0x40"}),
    (
        "CeleryDelayedTasksHeld",
        "tasks that come due all the time",
        {HELD_DELAYED: " ".join(["3 5 2 4"] * 15)},
    ),
    ("CeleryDelayedTasksHeld", "nothing known", {HELD: "0x60"}),
    ("CeleryBeatSilent", "a beat that is replaced", {TICK: "0+60x10 stale _ 780+60x60"}),
    (
        "CeleryQueueUnderReplicated",
        "a node that restarts",
        {MEMBERS: "3x60", ONLINE: "3x9 2x8 3x40"},
    ),
    ("CeleryQueueUnderReplicated", "one node", {MEMBERS: "1x60", ONLINE: "1x60"}),
    ("CeleryQueueUnderReplicated", "nothing told", {MEMBERS: "3x60"}),
    ("CeleryExporterAway", "an exporter that is replaced", {UP: "1x9 stale _ _ 1x45"}),
    (
        "CeleryExporterBlind",
        "an exporter that is away",
        {UP: "1x9 0x50", source("broker"): "1x9 stale"},
    ),
    ("CeleryExporterBlind", "a broker that restarts", {source("broker"): "1x9 0x3 1x40"}),
    ("CeleryScalingFrozen", "the first minutes", {FROZEN: "1x8 0x40"}),
    *((alert, "all at rest", AT_REST) for alert in sorted({case[0] for case in FIRES})),
]


@pytest.fixture
def rules(helm: "Helm", minimal: "Values", tmp_path: Path) -> Rules:
    """All rules that there are: of a release whose groups the exporter scales."""
    minimal |= {"autoscaling": {"mode": "keda"}, "monitoring": MONITORED}
    minimal["workers"]["io"]["autoscaling"] = WAIT
    return Rules(helm.template(minimal).one("PrometheusRule", "jobs")["spec"], tmp_path)


@pytest.mark.parametrize(
    ("alert", "given", "silent", "fires", "how"),
    FIRES,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(FIRES)],
)
def test_it_fires_at_its_limit_and_not_before(
    rules: Rules, alert: str, given: Series, silent: int, fires: int, how: Firing
) -> None:
    rules.expect(alert, given, {silent: None, fires: how})


@pytest.mark.parametrize(("members", "fires"), [(2, True), (3, False)])
def test_three_nodes_are_to_have_three_copies(
    helm: "Helm", minimal: "Values", tmp_path: Path, members: int, fires: bool
) -> None:
    minimal |= {"monitoring": MONITORED}
    minimal["rabbitmq"] |= {"replicas": 5}
    rules = Rules(helm.template(minimal).one("PrometheusRule", "jobs")["spec"], tmp_path)
    how = email(
        f"For 10 minutes only {members} nodes of RabbitMQ have had email: one that has a copy is "
        "away, or fewer than 3 were given one.",
    )
    copies = f"{members}x20"
    rules.expect(
        "CeleryQueueUnderReplicated",
        {MEMBERS: copies, ONLINE: copies},
        {15: how if fires else None},
    )


@pytest.mark.parametrize(
    ("alert", "given"),
    [(alert, given) for alert, _, given in QUIET],
    ids=[f"{alert}-{why}" for alert, why, _ in QUIET],
)
def test_it_is_silent_where_all_is_well(rules: Rules, alert: str, given: Series) -> None:
    rules.expect(alert, given, dict.fromkeys(range(60)))


def test_prometheus_loads_them(rules: Rules) -> None:
    rules.check()
    assert {case[0] for case in FIRES} == set(rules.alerts)


def test_each_says_what_how_much_how_bad_and_where_to_read_on(rules: Rules) -> None:
    for name, rule in rules.alerts.items():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["labels"] | {"namespace": "celery-demo", "release": "jobs"} == rule["labels"]
        texts = rule["annotations"]
        assert texts.keys() == {"summary", "description", "runbook_url"}
        assert texts["runbook_url"] == f"docs/runbooks.md#{name.lower()}"


def test_every_alert_has_a_section_in_the_runbooks_and_every_section_an_alert(rules: Rules) -> None:
    sections = RUNBOOKS.read_text(encoding="utf-8").split("\n## ")[1:]
    titles = [section.partition("\n")[0] for section in sections]
    assert sorted(titles) == sorted(rules.alerts)
    for section in sections:
        for part in ("**Means**", "**Users notice**", "**Look at**", "**Do**", "**False when**"):
            assert part in section, section.partition("\n")[0]
    links = set(re.findall(r"\]\(#([a-z]+)\)", "".join(sections)))
    assert links <= {title.lower() for title in titles}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, {"CeleryWaitOverPromise", "CeleryScalingFrozen"}),
        (
            {"beat": {"enabled": False}},
            {"CeleryWaitOverPromise", "CeleryScalingFrozen", "CeleryBeatSilent"},
        ),
        (
            OWN_RABBITMQ,
            {
                "CeleryWaitOverPromise",
                "CeleryScalingFrozen",
                "CeleryDeadLettersHeld",
                "CeleryDelayedTasksHeld",
                "CeleryQueueUnderReplicated",
            },
        ),
        (
            {
                "autoscaling": {"mode": "cpu"},
                "workerDefaults": {"autoscaling": WAIT | {"minReplicas": 1}},
            },
            {"CeleryScalingFrozen"},
        ),
        (
            {"runtime": False},
            {
                "CeleryWaitOverPromise",
                "CeleryScalingFrozen",
                "CeleryBeatSilent",
                "CeleryDeadLetters",
            },
        ),
    ],
)
def test_there_is_none_that_nothing_could_make_fire(
    helm: "Helm", minimal: "Values", changes: dict[str, Any], missing: set[str]
) -> None:
    release = helm.template(minimal | changes | {"monitoring": MONITORED})
    (group,) = release.one("PrometheusRule", "jobs")["spec"]["groups"]
    found = {rule["alert"] for rule in group["rules"] if "alert" in rule}
    assert {case[0] for case in FIRES} - found == missing


def test_limits_and_the_address_of_the_runbooks_are_yours(
    helm: "Helm", minimal: "Values", tmp_path: Path
) -> None:
    limits = {
        "queueLength": 2000000,
        "failurePercent": 0.5,
        "minFailures": 1,
        "restarts": 0,
        "deadLetters": 7,
        "beatSilentSeconds": 600,
        "runbookUrl": "https://wiki.example/celery",
    }
    values = minimal | {"monitoring": {"alerts": {"enabled": True} | limits}}
    rules = Rules(helm.template(values).one("PrometheusRule", "jobs")["spec"], tmp_path)
    rules.check()
    expressions = {name: rule["expr"] for name, rule in rules.alerts.items()}
    assert expressions["CeleryQueueTooLong"].endswith("> 2000000")
    assert "> 0.5 / 100\n" in expressions["CeleryFailures"]
    assert expressions["CeleryFailures"].endswith(">= 1")
    assert expressions["CeleryTaskFailing"].endswith(">= 1")
    assert expressions["CeleryRestarts"].endswith("> 0")
    assert expressions["CeleryDeadLetters"].endswith("> 7")
    assert expressions["CeleryBeatSilent"].endswith("> 600")
    for name, rule in rules.alerts.items():
        assert rule["annotations"]["runbook_url"] == f"https://wiki.example/celery#{name.lower()}"
    assert "$(" not in str(rules.rules)


def test_nothing_is_there_unless_it_is_asked_for(helm: "Helm", minimal: "Values") -> None:
    release = helm.template(minimal)
    assert not [o for o in release.objects if o["apiVersion"].startswith("monitoring.coreos.com")]
    assert not [
        o for o in release.objects if "grafana_dashboard" in o["metadata"].get("labels", {})
    ]
