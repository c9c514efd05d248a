"""`runtime: false`: an image with Celery alone, and what is refused because it needs more."""

import json
import shlex
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from celery import Celery

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Release, Values, Workload

NO_RABBITMQ = {"rabbitmq": {"enabled": False}}
NO_REDIS = {"redis": {"enabled": False}}
REDIS = NO_RABBITMQ | {"broker": {"kind": "redis"}}
SQS: dict[str, Any] = NO_RABBITMQ | {
    "broker": {"kind": "sqs", "mode": "existing"},
    "exporter": {"enabled": False},
}
SENTINEL = {"master": "shop", "hosts": ["sentinel-0:26379"]}
OWN = {"mode": "existing", "existingSecret": "login"}
NEEDS = "needs celery_runtime in the image, and runtime is false."


@pytest.fixture
def plain(minimal: "Values") -> "Values":
    """The smallest values for an image without the package."""
    return minimal | {"runtime": False}


def test_worker_and_beat_load_the_app_itself(helm: "Helm", plain: "Values") -> None:
    release = helm.template(plain)
    for workload in release.celery:
        assert workload.container["command"] == ["celery"]
        assert workload.container["args"][:2] == ["-A", "shop.celery:app"]
        assert "CELERY_APP" not in workload.env
    beat = release.workloads["jobs-beat"]
    assert beat.args == {"loglevel": "info", "schedule": "/tmp/celerybeat-schedule", "": ""}  # noqa: S108
    assert _settings(beat) == {"task.default_queue": "default"}


def test_nothing_is_left_of_what_only_the_package_reads(helm: "Helm", plain: "Values") -> None:
    release = helm.template(plain | {"exporter": {"enabled": False}})
    assert "celery-runtime" not in json.dumps(release.objects)
    assert "celery_runtime" not in json.dumps(release.objects)
    assert {o["metadata"]["name"] for o in release.all("ConfigMap")} == {
        *("jobs-rabbitmq", "jobs-redis")
    }


def test_the_safe_settings_are_on_the_workers_command_line(helm: "Helm", plain: "Values") -> None:
    worker = helm.template(plain | {"defaultQueue": "email"}).workloads["jobs-worker-io"]
    assert worker.args.keys() >= {"without-gossip", "without-mingle", "without-heartbeat"}
    # Nothing that turns on publisher confirms.
    assert _settings(worker) == {
        "task.acks_late": "1",
        "task.reject_on_worker_lost": "1",
        "worker.prefetch_multiplier": "1",
        "broker.connection_retry_on_startup": "1",
        "broker.connection_max_retries": "(json)null",
        "broker.channel_error_retry": "1",
        "task.default_queue": "email",
    }


def test_celery_reads_them_there_and_puts_them_before_the_apps(
    helm: "Helm", plain: "Values"
) -> None:
    values = plain | NO_RABBITMQ | {"broker": {"kind": "redis"}}
    values["workers"]["cpu"]["maxTaskSeconds"] = 7200
    args = helm.template(values).workloads["jobs-worker-io"].container["args"]
    app = Celery(set_as_current=False)
    app.conf.update(task_acks_late=False, broker_connection_max_retries=7)
    app.config_from_cmdline(args[args.index("--") + 1 :], namespace="worker")
    assert app.conf.task_acks_late is True
    assert app.conf.task_reject_on_worker_lost is True
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.broker_connection_retry_on_startup is True
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.broker_channel_error_retry is True
    assert app.conf.task_default_queue == "default"
    assert app.conf.broker_transport_options == {"visibility_timeout": 7260}


def test_celery_puts_the_environment_before_the_apps_own_urls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery(broker="amqp://app", backend="redis://app", set_as_current=False)
    app.conf.broker_url = "amqp://app"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://cache/1")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://cache/0")
    assert app.connection_for_read().hostname == "cache"
    assert app.connection_for_write().hostname == "cache"
    assert app.backend.as_uri() == "redis://cache/0"


@pytest.mark.parametrize("values", [{}, REDIS, SQS], ids=["rabbitmq", "redis", "sqs"])
def test_every_object_fits_the_schema_of_kubernetes(
    helm: "Helm", plain: "Values", values: dict[str, Any]
) -> None:
    for workload in helm.template(plain | values).celery:
        assert kubernetes_validate.validate(workload.owner, "1.34", strict=True)


@pytest.mark.parametrize(
    ("longest", "stated", "expected"),
    [(600, None, None), (3540, None, None), (3541, None, 3601), (600, 900, 900)],
)
def test_redis_hides_a_message_for_longer_than_the_longest_task(
    helm: "Helm", plain: "Values", longest: int, stated: int | None, expected: int | None
) -> None:
    values = plain | NO_RABBITMQ
    values["broker"] = {"kind": "redis", "visibilityTimeoutSeconds": stated}
    values["workers"]["cpu"]["maxTaskSeconds"] = longest
    worker = helm.template(values).workloads["jobs-worker-io"]
    options = _settings(worker).get("broker.transport_options")
    wanted = expected and f'(dict){{"visibility_timeout": {expected}}}'
    assert options == wanted


URLS: list[tuple[dict[str, Any], str, str]] = [
    (
        {},
        "amqp://<shop-rabbitmq/username>:<shop-rabbitmq/password>@jobs-rabbitmq:5672/%2F",
        "redis://:<shop-redis/password>@jobs-redis:6379/0",
    ),
    (
        REDIS,
        "redis://:<shop-redis/password>@jobs-redis:6379/1",
        "redis://:<shop-redis/password>@jobs-redis:6379/0",
    ),
    (
        NO_RABBITMQ | NO_REDIS | {"broker": OWN, "resultBackend": OWN},
        "<login/url>",
        "<login/url>",
    ),
    (SQS, "sqs://", "redis://:<shop-redis/password>@jobs-redis:6379/0"),
    (
        SQS | {"broker": {"kind": "sqs", **OWN}},
        "<login/url>",
        "redis://:<shop-redis/password>@jobs-redis:6379/0",
    ),
]


@pytest.mark.parametrize(("values", "broker", "results"), URLS)
def test_celery_is_told_by_its_environment_where_broker_and_results_are(
    helm: "Helm", plain: "Values", values: dict[str, Any], broker: str, results: str
) -> None:
    for workload in helm.template(plain | values).celery:
        environment = _environment(workload)
        assert environment["CELERY_BROKER_URL"] == broker
        assert environment["CELERY_RESULT_BACKEND"] == results


def test_generated_passwords_need_no_encoding_and_stay_in_their_secrets(
    helm: "Helm", plain: "Values"
) -> None:
    release = helm.template(plain | {"rabbitmq": {}, "redis": {}})
    others = json.dumps([o for o in release.objects if o["kind"] != "Secret"])
    for name in ("jobs-rabbitmq", "jobs-redis"):
        password = release.secret(name)["password"]
        assert password.isalnum()
        assert password not in others


def test_workers_are_pinged_rarely_and_by_their_own_name(helm: "Helm", plain: "Values") -> None:
    container = helm.template(plain).workloads["jobs-worker-io"].container
    assert "readinessProbe" not in container
    assert "ports" not in container
    for kind in ("startupProbe", "livenessProbe"):
        probe = container[kind]
        shell, option, script = probe["exec"]["command"]
        assert (shell, option) == ("sh", "-c")
        assert shlex.split(script) == [
            *("exec", "celery", "-A", "shop.celery:app", "inspect", "ping", "--timeout=10"),
            "--destination=io@$HOSTNAME",
        ]
        assert probe["timeoutSeconds"] == 20
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 300
    assert container["livenessProbe"]["periodSeconds"] >= 60


def test_nothing_probes_beat_nor_a_worker_on_sqs(helm: "Helm", plain: "Values") -> None:
    unprobed = [helm.template(plain).workloads["jobs-beat"], *helm.template(plain | SQS).celery]
    for workload in unprobed:
        assert not [key for key in workload.container if key.endswith("Probe")]


def test_helm_test_asks_the_workers_where_they_can_be_asked(helm: "Helm", plain: "Values") -> None:
    pod = helm.template(plain).workloads["jobs-test-consumers"]
    assert pod.container["command"] == ["celery"]
    assert pod.container["args"] == [
        *("-A", "shop.celery:app", "inspect", "active_queues", "--timeout=5")
    ]
    assert _environment(pod)["CELERY_BROKER_URL"].startswith("amqp://")
    assert "jobs-test-consumers" not in helm.template(plain | SQS).workloads
    assert "helm -n celery-demo test jobs" in helm.notes(plain)
    assert "helm -n celery-demo test jobs" not in helm.notes(plain | SQS)


def test_a_user_of_the_embedded_redis_is_in_both_urls(helm: "Helm", plain: "Values") -> None:
    redis = {"redis": {"auth": {"username": "celery", "existingSecret": "shop-redis"}}}
    env = _environment(helm.template(plain | REDIS | redis).workloads["jobs-worker-io"])
    assert env["CELERY_BROKER_URL"] == "redis://celery:<shop-redis/password>@jobs-redis:6379/1"
    assert env["CELERY_RESULT_BACKEND"] == "redis://celery:<shop-redis/password>@jobs-redis:6379/0"


def test_the_notes_give_producers_the_same_environment(helm: "Helm", plain: "Values") -> None:
    notes = helm.notes(plain)
    assert "celery_runtime" not in notes
    snippet = yaml.safe_load("  env:" + notes.partition("  env:")[2].partition("\n\n")[0])
    worker = helm.template(plain).workloads["jobs-worker-io"]
    assert snippet["env"] == worker.container["env"]


def test_a_changed_secret_restarts_the_celery_pods(
    helm: "Helm", plain: "Values", cluster: "Cluster"
) -> None:
    cluster.put("shop-redis", {"password": "b2xk"})
    before = _checksums(helm, plain, cluster)
    cluster.put("shop-redis", {"password": "bmV3"})
    assert not before & _checksums(helm, plain, cluster)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"config": {"task_routes": {}}}, f"config: {NEEDS} Set it in the app."),
    (
        {"queues": {"default": {"deliveryLimit": 3}, "email": {}, "thumbnails": {}}},
        f"queues.default.deliveryLimit: {NEEDS} Remove it.",
    ),
    (
        {"beat": {"schedule": {"a": {"task": "t", "every": 5}}}},
        f"beat.schedule: {NEEDS} Use the app's own beat_schedule.",
    ),
    (
        NO_RABBITMQ | {"broker": {"host": "mq", **OWN}},
        "broker.host: needs celery_runtime in the image, which encodes the password, and runtime "
        "is false. Put the whole URL under the key url and name that Secret in "
        "broker.existingSecret.",
    ),
    (
        NO_REDIS | {"resultBackend": {"mode": "existing", "host": "cache", "password": "x"}},
        "resultBackend.password: needs celery_runtime in the image, which encodes the password, "
        "and runtime is false. Put the whole URL under the key url and name that Secret in "
        "resultBackend.existingSecret.",
    ),
    (
        NO_RABBITMQ | {"broker": {"tls": True, **OWN}},
        f"broker.tls: {NEEDS} Put the whole URL, which says it, under the key url.",
    ),
    (
        REDIS | {"broker": {"kind": "redis", "keyPrefix": "shop:"}},
        f"broker.keyPrefix: {NEEDS} Set it in the app's broker_transport_options.",
    ),
    (
        SQS | {"broker": {**SQS["broker"], "region": "eu-central-1"}},
        f"broker.region: {NEEDS} Set it in the app's broker_transport_options.",
    ),
    (
        SQS | {"broker": {**SQS["broker"], "visibilityTimeoutSeconds": 900}},
        f"broker.visibilityTimeoutSeconds: {NEEDS} Set it in the app's broker_transport_options.",
    ),
    (
        {"redis": {"tls": {"enabled": True}}},
        "redis.tls.enabled: needs celery_runtime in the image, which verifies the certificate, and "
        "runtime is false. Set it to false.",
    ),
    (
        NO_REDIS | {"resultBackend": {"sentinel": SENTINEL, **OWN}},
        f"resultBackend.sentinel: {NEEDS} Put the whole URL under the key url, and the master's "
        "name into the app's result_backend_transport_options.",
    ),
    (
        REDIS | {"broker": {"kind": "redis", "visibilityTimeoutSeconds": 600}},
        "broker.visibilityTimeoutSeconds: 600 would deliver a task again while it runs for up to "
        "600 s (maxTaskSeconds); only celery_runtime renews it. Use more than 600, or remove it.",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m[:50] for _, m in REFUSED])
def test_what_needs_the_package_is_refused_with_the_mend(
    helm: "Helm", plain: "Values", change: dict[str, Any], message: str
) -> None:
    assert message in helm.refusal(plain | change)


def test_a_password_of_ones_own_that_no_url_can_hold_is_refused_where_it_is_seen(
    helm: "Helm", plain: "Values", cluster: "Cluster"
) -> None:
    cluster.put("shop-redis", {"password": "cEBzcw=="})
    with pytest.raises(Exception, match="Error: ") as refused:
        helm.template(plain, *cluster.options)
    assert (
        "redis.auth.existingSecret: the password in shop-redis would have to be encoded in a URL, "
        'and runtime is false. Use letters, digits, ".", "_", "~" and "-" in it.'
    ) in str(refused.value)


def _settings(workload: "Workload") -> dict[str, str]:
    """The Celery settings behind the options of the command line."""
    args = workload.container["args"]
    return dict(arg.split("=", 1) for arg in args[args.index("--") + 1 :])


def _environment(workload: "Workload") -> dict[str, str]:
    """The environment as Kubernetes makes it, with <Secret/key> for what a Secret holds."""
    found: dict[str, str] = {}
    for entry in workload.container["env"]:
        text = entry.get("value", "")
        if "valueFrom" in entry:
            reference = entry["valueFrom"]["secretKeyRef"]
            text = f"<{reference['name']}/{reference['key']}>"
        for name, value in found.items():
            text = text.replace(f"$({name})", value)
        found[entry["name"]] = text
    return found


def _checksums(helm: "Helm", values: "Values", cluster: "Cluster") -> set[str]:
    helm.rendered.clear()
    release: Release = helm.template(values, *cluster.options)
    return {w.metadata["annotations"]["checksum/runtime"] for w in release.celery}
