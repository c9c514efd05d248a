"""What `helm install` leaves running."""

import json
import subprocess

from pykube import HTTPClient
from pytest_helm_charts.k8s.deployment import wait_for_deployments_to_run
from pytest_helm_charts.k8s.stateful_set import wait_for_stateful_sets_to_run

from tests.cluster.shop import Shop

TIMEOUT_SECONDS = 60


def test_every_part_of_the_release_runs(shop: Shop, api: HTTPClient) -> None:
    namespace = shop.target.namespace
    deployments = ["jobs-worker-io", "jobs-worker-cpu", "jobs-beat", "jobs-exporter"]
    wait_for_deployments_to_run(api, deployments, namespace, TIMEOUT_SECONDS)
    wait_for_stateful_sets_to_run(api, ["jobs-rabbitmq", "jobs-redis"], namespace, TIMEOUT_SECONDS)


def test_no_container_has_restarted_and_none_lacks_a_probe(shop: Shop) -> None:
    pods = shop.all_pods("app.kubernetes.io/instance=jobs")
    for pod in pods:
        name = pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), name
        for status in pod["status"]["containerStatuses"]:
            assert status["restartCount"] == 0, name
    assert len(pods) == 6


def test_the_namespace_refuses_a_pod_outside_the_restricted_profile(shop: Shop) -> None:
    run = ["run", "intruder", f"--image={shop.target.image}", "--privileged"]
    command = shop.target.kubectl(*run, "--dry-run=server")
    refused = subprocess.run(
        command, env=shop.target.env, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_helm_test_passes(shop: Shop) -> None:
    assert "Succeeded" in shop.helm("test", "jobs", "--timeout=2m")


def test_every_line_of_the_workers_logs_is_one_json_object(shop: Shop) -> None:
    for component in ("jobs-worker-io", "jobs-worker-cpu", "jobs-beat"):
        lines = shop.kubectl("logs", f"deployment/{component}").splitlines()
        assert lines
        for line in lines:
            assert {"time", "level", "message"} <= json.loads(line).keys()
