"""The evaluator of the profile `restricted`, by which the chart's pods are judged."""

import copy
from typing import Any

import pytest

from tests.chart.restricted import violations

STRICT: dict[str, Any] = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "volumes": [{"name": "tmp", "emptyDir": {}}],
    "containers": [
        {
            "name": "app",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            },
            "ports": [{"containerPort": 80}],
            "livenessProbe": {"httpGet": {"port": 80}},
        }
    ],
}


def test_a_strict_pod_is_let_in() -> None:
    assert not list(violations(STRICT))


def test_a_pod_that_says_nothing_is_refused() -> None:
    assert list(violations({"containers": [{"name": "app"}]})) == [
        "app may gain privileges",
        "app keeps capabilities",
        "app may run as root",
        "app states no seccomp profile",
    ]


@pytest.mark.parametrize(
    ("where", "change", "said"),
    [
        ("pod", {"hostNetwork": True}, "the pod has hostNetwork"),
        ("pod", {"hostPID": True}, "the pod has hostPID"),
        ("pod", {"hostIPC": True}, "the pod has hostIPC"),
        ("pod", {"volumes": [{"name": "d", "hostPath": {"path": "/"}}]}, "d is a volume of the"),
        ("pod", {"volumes": [{"name": "d", "nfs": {}}]}, "d is a volume of the host"),
        ("pod context", {"runAsUser": 0}, "the pod runs as root"),
        ("pod context", {"runAsNonRoot": False}, "the pod runs as root"),
        ("pod context", {"seccompProfile": {"type": "Unconfined"}}, "the pod has no seccomp"),
        ("pod context", {"appArmorProfile": {"type": "Unconfined"}}, "the pod has no AppArmor"),
        ("pod context", {"seLinuxOptions": {"type": "spc_t"}}, "the pod chooses its SELinux"),
        ("pod context", {"seLinuxOptions": {"user": "u"}}, "the pod chooses its SELinux"),
        ("pod context", {"sysctls": [{"name": "kernel.msgmax"}]}, "the pod sets kernel.msgmax"),
        ("pod context", {"windowsOptions": {"hostProcess": True}}, "the pod is a process of a"),
        ("container", {"ports": [{"containerPort": 80, "hostPort": 80}]}, "app listens on the"),
        ("container", {"livenessProbe": {"tcpSocket": {"host": "10.0.0.1"}}}, "app is probed at"),
        ("context", {"privileged": True}, "app is privileged"),
        ("context", {"allowPrivilegeEscalation": True}, "app may gain privileges"),
        ("context", {"capabilities": {"drop": ["NET_RAW"]}}, "app keeps capabilities"),
        ("context", {"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, "app adds"),
        ("context", {"procMount": "Unmasked"}, "app sees all of /proc"),
        ("context", {"runAsUser": 0}, "app runs as root"),
        ("context", {"runAsNonRoot": False}, "app runs as root"),
        ("context", {"seccompProfile": {"type": "Unconfined"}}, "app has no seccomp profile"),
    ],
)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_what_the_profile_forbids_is_found(
    where: str, change: dict[str, Any], said: str, kind: str
) -> None:
    spec = copy.deepcopy(STRICT)
    spec["initContainers"] = copy.deepcopy(spec["containers"])
    container = spec[kind][0]
    places = {
        "pod": spec,
        "pod context": spec["securityContext"],
        "container": container,
        "context": container["securityContext"],
    }
    places[where].update(change)
    assert any(found.startswith(said) for found in violations(spec))
