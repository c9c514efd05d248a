"""Several nodes of RabbitMQ: how they find each other, keep apart, and leave."""

import re
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

if TYPE_CHECKING:
    from tests.chart.conftest import Cluster, Helm, Release, Workload

SIZES = (3, 5)
PEERS = "cluster_formation.classic_config.nodes."


@pytest.mark.parametrize("replicas", [1, *SIZES])
def test_every_object_fits_its_schema(helm: "Helm", replicas: int) -> None:
    values = {
        "replicas": replicas,
        "tls": {"enabled": True},
        "definitions": {"existingSecret": "definitions"},
    }
    for found in _release(helm, values).objects:
        assert kubernetes_validate.validate(found, "1.34", strict=True) == "1.34"


@pytest.mark.parametrize("replicas", SIZES)
def test_nodes_know_all_nodes_by_the_names_that_they_have(helm: "Helm", replicas: int) -> None:
    release = _release(helm, {"replicas": replicas, "clusterDomain": "example.internal"})
    broker = release.workloads["mq-rabbitmq"]
    assert broker.owner["spec"]["replicas"] == replicas
    name = broker.env["RABBITMQ_NODENAME"].replace("$(POD_NAMESPACE)", "celery-demo")
    conf = _conf(release)
    assert conf["cluster_formation.peer_discovery_backend"] == "classic_config"
    assert [value for key, value in conf.items() if key.startswith(PEERS)] == [
        name.replace("$(POD_NAME)", f"mq-rabbitmq-{node}") for node in range(replicas)
    ]


def test_a_node_waits_for_another_until_it_is_restarted_and_never_begins_alone(
    helm: "Helm",
) -> None:
    release = _release(helm, {"replicas": 3})
    startup = release.workloads["mq-rabbitmq"].container["startupProbe"]
    patience = startup["periodSeconds"] * startup["failureThreshold"]
    # Twice a second at the most: RabbitMQ's own interval.
    assert int(_conf(release)["cluster_formation.discovery_retry_limit"]) > patience * 2


def test_nodes_start_together_and_find_each_other_before_they_are_ready(helm: "Helm") -> None:
    release = _release(helm, {"replicas": 3})
    assert release.one("StatefulSet", "mq-rabbitmq")["spec"]["podManagementPolicy"] == "Parallel"
    spec = release.one("Service", "mq-rabbitmq-nodes")["spec"]
    assert spec["publishNotReadyAddresses"] is True


def test_what_cannot_change_on_a_running_release_is_the_same_with_any_number(helm: "Helm") -> None:
    fixed = []
    for replicas in (1, *SIZES):
        spec = dict(
            _release(helm, {"replicas": replicas}).one("StatefulSet", "mq-rabbitmq")["spec"]
        )
        fixed.append({key: spec[key] for key in spec.keys() - {"replicas", "template"}})
    assert fixed == [fixed[0]] * 3
    assert fixed[0].keys() == {
        *("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
    }


@pytest.mark.parametrize("replicas", SIZES)
def test_queues_have_a_replica_on_three_nodes_whenever_they_were_made(
    helm: "Helm", replicas: int
) -> None:
    conf = _conf(_release(helm, {"replicas": replicas}))
    reconciliation = "quorum_queue.continuous_membership_reconciliation"
    assert conf[f"{reconciliation}.enabled"] == "true"
    assert conf[f"{reconciliation}.target_group_size"] == "3"
    assert int(conf[f"{reconciliation}.interval"]) <= 60_000
    assert conf["queue_leader_locator"] == "balanced"
    assert conf["cluster_partition_handling"] == "pause_minority"


def test_a_single_node_is_told_nothing_of_others(helm: "Helm") -> None:
    release = _release(helm, {})
    assert not [key for key in _conf(release) if re.match("cluster|quorum|queue_leader", key)]
    broker = release.workloads["mq-rabbitmq"]
    assert not release.all("PodDisruptionBudget")
    assert "affinity" not in broker.spec
    assert "lifecycle" not in broker.container
    assert broker.spec["terminationGracePeriodSeconds"] == 120


@pytest.mark.parametrize("replicas", SIZES)
def test_one_node_at_a_time_may_be_evicted(helm: "Helm", replicas: int) -> None:
    release = _release(helm, {"replicas": replicas})
    budget = release.one("PodDisruptionBudget", "mq-rabbitmq")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    labels = release.workloads["mq-rabbitmq"].metadata["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_nodes_keep_apart_where_they_can(helm: "Helm") -> None:
    broker = _broker(helm, {"replicas": 3})
    apart = broker.spec["affinity"]["podAntiAffinity"]
    assert apart.keys() == {"preferredDuringSchedulingIgnoredDuringExecution"}
    terms = [term["podAffinityTerm"] for term in apart.popitem()[1]]
    assert [term["topologyKey"] for term in terms] == [
        *("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
    for term in terms:
        assert term["labelSelector"]["matchLabels"] == broker.selector


def test_nodes_never_share_a_machine_where_that_is_required(helm: "Helm") -> None:
    apart = _broker(helm, {"replicas": 3, "spread": "required"}).spec["affinity"]["podAntiAffinity"]
    (term,) = apart["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    (zone,) = apart["preferredDuringSchedulingIgnoredDuringExecution"]
    assert zone["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"


def test_an_affinity_of_ones_own_adds_to_it(helm: "Helm") -> None:
    node: dict[str, Any] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}
    }
    affinity = _broker(helm, {"replicas": 3, "affinity": {"nodeAffinity": node}}).spec["affinity"]
    assert affinity.keys() == {"nodeAffinity", "podAntiAffinity"}
    assert _broker(helm, {"affinity": {"nodeAffinity": node}}).spec["affinity"] == {
        "nodeAffinity": node
    }


def test_a_node_that_leaves_waits_for_the_others_and_never_for_longer_than_it_may(
    helm: "Helm",
) -> None:
    broker = _broker(helm, {"replicas": 3})
    *shell, script = broker.container["lifecycle"]["preStop"]["exec"]["command"]
    assert shell == ["sh", "-c"]
    wait, drain = script.split("; ")
    assert wait.startswith("rabbitmq-upgrade await_online_quorum_plus_one -t ")
    assert drain.startswith("rabbitmq-upgrade drain -t ")
    bound = sum(int(command.rpartition(" ")[2]) for command in (wait, drain))
    # In an uninstall there is nobody to wait for.
    assert bound <= 90
    assert broker.spec["terminationGracePeriodSeconds"] == bound + 120


ALONE = "stop as soon as one of them does, because one is no majority of two. Use 3."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 2}, f"replicas: 2 {ALONE}"),
        ({"replicas": 4}, "replicas: 4 survive no more lost nodes than one less would. Use 1, 3"),
        ({"replicas": 0}, "replicas: 0 survive no more lost nodes"),
        ({"replicas": 7}, "replicas: 7 are not a number of nodes that RabbitMQ works well with."),
        ({"replicas": "3"}, "at '/replicas': got string, want integer"),
        ({"spread": "zone"}, "at '/spread': value must be one of 'preferred', 'required'"),
        (
            {"spread": "required"},
            "spread: required, but a single node has none to keep apart from. Remove it, or set "
            "replicas to 3.",
        ),
        (
            {"tls": {"existingSecret": "cert"}},
            "tls.existingSecret: has no effect while tls.enabled is false. Remove it, or set "
            "tls.enabled to true.",
        ),
    ],
)
def test_a_number_that_cannot_work_is_refused(
    helm: "Helm", values: dict[str, Any], message: str
) -> None:
    assert message in _refusal(helm, values)
    nested = _refusal(helm, {"app": "shop.celery:app", "rabbitmq": values}, chart="celery")
    assert message in nested


def test_nodes_do_not_vanish_by_a_smaller_number(helm: "Helm", cluster: "Cluster") -> None:
    cluster.run("jobs-rabbitmq", 3, ready=3)
    message = (
        "replicas: 1, but 3 nodes hold the queues, and what is left of them may be no majority. "
        "Let nodes leave first, one by one"
    )
    assert message in _refusal(helm, {"replicas": 1}, *cluster.options)
    cluster.run("jobs-rabbitmq", 1, ready=1)
    helm.template({"replicas": 1}, *cluster.options, chart="rabbitmq", release="jobs")


def test_nodes_are_added_only_while_they_can_see_those_there(
    helm: "Helm", cluster: "Cluster"
) -> None:
    cluster.run("jobs-rabbitmq", 1, ready=0)
    message = "replicas: 3, but only 0 of the 1 nodes there are ready, and new ones that cannot see"
    assert message in _refusal(helm, {"replicas": 3}, *cluster.options)
    cluster.run("jobs-rabbitmq", 1, ready=1)
    helm.template({"replicas": 3}, *cluster.options, chart="rabbitmq", release="jobs")


def _release(helm: "Helm", values: dict[str, Any]) -> "Release":
    return helm.template(values, chart="rabbitmq", release="mq")


def _broker(helm: "Helm", values: dict[str, Any]) -> "Workload":
    return _release(helm, values).workloads["mq-rabbitmq"]


def _conf(release: "Release") -> dict[str, str]:
    text = release.one("ConfigMap", "mq-rabbitmq")["data"]["rabbitmq.conf"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


def _refusal(helm: "Helm", values: dict[str, Any], *options: str, chart: str = "rabbitmq") -> str:
    with pytest.raises(Exception, match="Error: ") as refused:
        helm.template(values, *options, chart=chart, release="jobs")
    return str(refused.value)
