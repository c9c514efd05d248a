"""Pod Security's profile `restricted`, as the Pod Security Standards list it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Object

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
PROFILES = {"RuntimeDefault", "Localhost"}
SHARED = ("hostNetwork", "hostPID", "hostIPC")
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}

#: What neither a pod's security context nor a container's may say.
CONTEXT: dict[str, "Callable[[Object], bool]"] = {
    "runs as root": lambda c: c.get("runAsUser") == 0 or c.get("runAsNonRoot") is False,
    "has no seccomp profile": lambda c: (
        "seccompProfile" in c and c["seccompProfile"]["type"] not in PROFILES
    ),
    "has no AppArmor profile": lambda c: (
        "appArmorProfile" in c and c["appArmorProfile"]["type"] not in PROFILES
    ),
    "chooses its SELinux context": lambda c: (
        c.get("seLinuxOptions", {}).get("type", "") not in SELINUX_TYPES
        or {"user", "role"} & c.get("seLinuxOptions", {}).keys() != set()
    ),
    "is a process of a Windows host": lambda c: bool(
        c.get("windowsOptions", {}).get("hostProcess")
    ),
}
CONTAINER: dict[str, "Callable[[Object], bool]"] = {
    "is privileged": lambda c: bool(c.get("privileged")),
    "may gain privileges": lambda c: c.get("allowPrivilegeEscalation") is not False,
    "keeps capabilities": lambda c: "ALL" not in c.get("capabilities", {}).get("drop", []),
    "adds capabilities": lambda c: bool(
        {*c.get("capabilities", {}).get("add", [])} - {"NET_BIND_SERVICE"}
    ),
    "sees all of /proc": lambda c: c.get("procMount", "Default") != "Default",
}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def violations(spec: "Object") -> Iterator[str]:
    """What Pod Security would refuse of a pod, as sentences."""
    pod = spec.get("securityContext", {})
    yield from (f"the pod {said}" for said, found in CONTEXT.items() if found(pod))
    yield from (
        f"the pod has {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)
    )
    for sysctl in pod.get("sysctls", []):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"the pod sets {sysctl['name']}"
    for volume in spec.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"{volume['name']} is a volume of the host"
    for container in containers(spec):
        yield from (f"{container['name']} {said}" for said in _of_container(container, pod))


def containers(spec: "Object") -> list["Object"]:
    """Every container of a pod, whenever it runs."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in spec.get(kind, [])]


def _of_container(container: "Object", pod: "Object") -> Iterator[str]:
    context = container.get("securityContext", {})
    yield from (said for said, found in (CONTEXT | CONTAINER).items() if found(context))
    if (pod | context).get("runAsNonRoot") is not True:
        yield "may run as root"
    if "seccompProfile" not in pod | context:
        yield "states no seccomp profile"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "listens on the host"
    if any(_asks_a_host(container.get(probe, {})) for probe in PROBES):
        yield "is probed at an address of its choice"


def _asks_a_host(probe: "Object") -> bool:
    return any("host" in probe.get(kind, {}) for kind in ("httpGet", "tcpSocket"))
