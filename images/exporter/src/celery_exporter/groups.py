"""groups.json, checked: the worker groups of a release, and how to find their pods."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from celery_runtime.errors import SettingsError
from celery_runtime.settings.credentials import read_text
from celery_runtime.settings.document import Table

FILE = "groups.json"
MAX_PORT = 65_535
MOST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Autoscaling:
    """Within which bounds a group is scaled, and for which wait."""

    min_replicas: int
    max_replicas: int
    queue_wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """A worker group."""

    name: str
    queues: Sequence[str]
    #: How many tasks one of its pods runs at once.
    slots: int
    max_task_seconds: int
    #: None where it is only watched.
    autoscaling: Autoscaling | None = None


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The worker groups of a release; none where nothing is mounted."""

    namespace: str = ""
    #: What all worker pods of the release have.
    labels: Mapping[str, str] = field(default_factory=dict)
    #: The label that says which group a pod is of.
    group_label: str = ""
    #: Where a worker answers.
    port: int = 0
    by_name: Mapping[str, Group] = field(default_factory=dict)


def load(mounted: Path) -> Groups:
    """The groups that are mounted here.

    Raises:
        SettingsError: the file is there and cannot be used; it names the key and the mend.

    """
    text = read_text(mounted / FILE)
    if text is None:
        return Groups()
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{FILE} is not JSON: {error}. The chart writes it.") from error
    return parse(document)


def parse(document: object) -> Groups:
    """The checked groups."""
    known = ("namespace", "labels", "groupLabel", "port", "groups")
    root = Table(document, known=known, file=FILE)
    root.required("port", int)
    return Groups(
        namespace=_text(root, "namespace"),
        labels=_labels(root),
        group_label=_text(root, "groupLabel"),
        port=root.integer("port", 1, least=1, most=MAX_PORT),
        by_name=_groups(root),
    )


def _labels(root: Table) -> dict[str, str]:
    # Without one, every pod of the namespace would be taken for a worker of this release.
    if not root.required("labels", dict):
        raise root.refuse("labels", "is empty. Name the labels that all worker pods have.")
    table = root.table("labels")
    return {name: table.required(name, str) for name in table}


def _groups(root: Table) -> dict[str, Group]:
    root.required("groups", dict)
    table = root.table("groups")
    known = ("queues", "slots", "maxTaskSeconds", "autoscaling")
    return {name: _group(name, table.table(name, known=known)) for name in table}


def _group(name: str, table: Table) -> Group:
    return Group(
        name=name,
        queues=_queues(table),
        slots=_count(table, "slots", least=1),
        max_task_seconds=_count(table, "maxTaskSeconds", least=1),
        autoscaling=_autoscaling(table) if "autoscaling" in table else None,
    )


def _queues(table: Table) -> tuple[str, ...]:
    queues = table.required("queues", list)
    if not queues or not all(isinstance(queue, str) and queue for queue in queues):
        raise table.refuse("queues", 'must name the group\'s queues, as in ["default"].')
    return tuple(queues)


def _autoscaling(group: Table) -> Autoscaling:
    known = ("minReplicas", "maxReplicas", "queueWaitSeconds")
    table = group.table("autoscaling", known=known)
    least = _count(table, "minReplicas", least=0)
    seconds = table.required("queueWaitSeconds", float)
    if not 0 < seconds <= MOST:
        raise table.refuse("queueWaitSeconds", f"must be above 0, not {seconds}.")
    return Autoscaling(
        min_replicas=least,
        max_replicas=_count(table, "maxReplicas", least=max(1, least)),
        queue_wait_seconds=seconds,
    )


def _count(table: Table, key: str, *, least: int) -> int:
    table.required(key, int)
    return table.integer(key, least, least=least, most=MOST)


def _text(table: Table, key: str) -> str:
    text = table.required(key, str)
    if not text:
        raise table.refuse(key, "is empty. Set it to a string.")
    return text
