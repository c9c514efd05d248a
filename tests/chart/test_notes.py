"""What a user reads after an installation."""

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values


def test_they_show_groups_commands_and_a_snippet_for_producers(
    helm: "Helm", minimal: "Values"
) -> None:
    notes = helm.notes(minimal)
    assert "from default, email" in notes
    assert "helm -n celery-demo test jobs" in notes
    snippet = "  volumes:" + notes.partition("  volumes:")[2].partition("\n\n")[0]
    pod = yaml.safe_load(snippet)
    worker = helm.template(minimal).workloads["jobs-worker-io"]
    assert pod["volumes"][0] == worker.spec["volumes"][0]
    assert pod["containers"][0]["volumeMounts"][0] == worker.container["volumeMounts"][0]


def test_they_warn_of_single_nodes_only_where_there_are_some(
    helm: "Helm", minimal: "Values"
) -> None:
    notes = helm.notes(minimal)
    assert "WARNING: RabbitMQ is a single node: while it restarts, tasks wait." in notes
    assert "WARNING: Redis is a single node: while it restarts, tasks wait." in notes
    minimal["rabbitmq"]["replicas"] = 3
    assert "RabbitMQ is a single node" not in helm.notes(minimal)
    minimal |= {
        "broker": {"mode": "existing", "existingSecret": "mq"},
        "rabbitmq": {"enabled": False},
        "resultBackend": {"mode": "existing", "existingSecret": "cache"},
        "redis": {"enabled": False},
    }
    assert "WARNING" not in helm.notes(minimal)


def test_they_warn_of_queues_that_nobody_consumes(helm: "Helm", minimal: "Values") -> None:
    minimal["queues"]["bulk"] = {}
    minimal["workers"]["cpu"]["replicas"] = 0
    notes = helm.notes(minimal)
    assert "WARNING: no worker group consumes the queue bulk;" in notes
    assert "WARNING: workers.cpu has 0 replicas; thumbnails may be without a consumer." in notes


def test_they_say_what_the_kind_of_broker_cannot_do(helm: "Helm", minimal: "Values") -> None:
    assert "NOTE: " not in helm.notes(minimal)
    minimal |= {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
    assert "the messages that it accepted in the last second may be lost" in helm.notes(minimal)
    minimal["broker"] = {"kind": "sqs", "mode": "existing", "region": "eu-central-1"}
    assert "NOTE: Amazon SQS has no remote control and no events" in helm.notes(minimal)
