"""`make demo`: the demonstration's application on a cluster, and a table of what it did."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ci import cluster, engine, images, keda, replicas
from ci.images import Image
from ci.paths import BIN, KUBECONFIG, ROOT
from ci.replicas import Replicas
from ci.steps import Problem, Step, capture, console, step, succeeds

NAMESPACE = "celery-demo"
RELEASE = "jobs"
DEPLOY = ROOT / "images" / "demo" / "deploy"
REPOSITORY_VARIABLE = "IMAGE_REPOSITORY"
TIMEOUT = "5m"
#: Enough for three pods of dev.yaml's group cpu, for a while.
SURGE_TASKS = 72
SURGE_TASK_SECONDS = 2
#: KEDA looks every few seconds, and the HPA keeps a pod for half a minute.
IDLE_SECONDS = 180


@dataclass(frozen=True)
class Target:
    """Where to install: the environment that reaches the cluster, and the images."""

    env: Mapping[str, str]
    image: Image
    exporter: Image
    namespace: str = NAMESPACE
    autoscaling: str = "none"
    #: Files, the later ones over the earlier.
    values: tuple[Path, ...] = (ROOT / "values" / "dev.yaml",)

    def kubectl(self, *arguments: str | Path) -> list[str | Path]:
        """Return a kubectl command line in the demonstration's namespace."""
        return [cluster.kubectl(), "--namespace", self.namespace, *arguments]

    def helm(self, *arguments: str | Path) -> list[str | Path]:
        """Return a helm command line in the demonstration's namespace."""
        return [cluster.helm(), "--namespace", self.namespace, *arguments]

    def upgrade(self, *values: str) -> list[str | Path]:
        """Return the command that installs or changes the release; values as `--set` takes them."""
        return self.helm(
            "upgrade",
            "--install",
            RELEASE,
            ROOT / "charts" / "celery",
            *(f"--values={file}" for file in self.values),
            f"--set=image.repository={self.image.repository}",
            f"--set=image.tag={self.image.tag}",
            f"--set=exporter.image.repository={self.exporter.repository}",
            f"--set=exporter.image.tag={self.exporter.tag}",
            f"--set=autoscaling.mode={self.autoscaling}",
            *(f"--set={value}" for value in values),
            "--wait",
            f"--timeout={TIMEOUT}",
        )


def main() -> int:
    """Install, run the pipelines, show the table; returns 1 when anything is not done."""
    started = time.monotonic()
    target = _existing() if os.environ.get(REPOSITORY_VARIABLE) else _local()
    try:
        install(target)
        report = _run_pipelines(target)
    except Problem:
        _show_state(target)
        raise
    _show(report, time.monotonic() - started)
    if report["undone"]:
        _show_state(target)
        raise Problem(f"Not done: {json.dumps(report['undone'], indent=2)}")
    if target.autoscaling == "keda":
        _show_scaling(target)
    console.print(_NEXT.format(bin=BIN, kubeconfig=KUBECONFIG, namespace=NAMESPACE, **report))
    return 0


def _local() -> Target:
    found = cluster.up()
    keda.provide(found)
    image = images.build_all(found.engine)
    exporter = images.build_exporter(found.engine)
    found.load(*images.dependencies(found.engine), str(image), str(exporter))
    cluster.link_tools()
    return Target(found.env, image, exporter, autoscaling="keda")


def _existing() -> Target:
    """Use the cluster of KUBECONFIG; its nodes pull the images from IMAGE_REPOSITORY."""
    if not os.environ.get("KUBECONFIG"):
        raise Problem(f"{REPOSITORY_VARIABLE} goes with KUBECONFIG=FILE, the cluster to use")
    builder = engine.choose()
    repository = os.environ[REPOSITORY_VARIABLE]
    image = images.push(builder, images.build_all(builder), repository)
    exporter = images.push(builder, images.build_exporter(builder), repository)
    target = Target(dict(os.environ), image, exporter)
    kinds = target.kubectl("get", "customresourcedefinition", "scaledobjects.keda.sh")
    if succeeds(kinds, env=target.env):
        return replace(target, autoscaling="keda")
    console.print("There is no KEDA in this cluster: each worker group keeps one pod.")
    return target


def install(target: Target) -> None:
    """Install the shop and the chart, and wait until every pod is ready."""
    with step(f"Install the shop and the chart into the namespace {target.namespace}") as work:
        _apply_text(work, target, "namespace.json", json.dumps(namespace(target.namespace)))
        for manifest in ("postgres.yaml", "shop.yaml"):
            _apply(work, target, DEPLOY / manifest)
        work.run(target.upgrade(), env=target.env)
        for name in ("shop-web", "shop-gateway", "shop-smtp"):
            wait = ["rollout", "status", f"deployment/{name}", f"--timeout={TIMEOUT}"]
            work.run(target.kubectl(*wait), env=target.env)


def namespace(name: str) -> dict[str, Any]:
    """Return a namespace that takes no pod outside the strictest Pod Security profile."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _apply(work: Step, target: Target, manifest: Path) -> None:
    """Apply a manifest of the shop with the image that was built."""
    text = manifest.read_text().replace("image: celery-demo", f"image: {target.image}")
    _apply_text(work, target, manifest.name, text)


def _apply_text(work: Step, target: Target, name: str, text: str) -> None:
    rendered = work.log.with_name(f"{target.namespace}-{name}")
    rendered.write_text(text)
    work.run(target.kubectl("apply", "--filename", rendered), env=target.env)


def _run_pipelines(target: Target) -> dict[str, Any]:
    job = "job/shop-pipelines"
    with step("Start the pipelines") as work:
        work.run(target.kubectl("delete", job, "--ignore-not-found"), env=target.env)
        _apply(work, target, DEPLOY / "pipelines-job.yaml")
        ready = ["wait", "--for=jsonpath={.status.ready}=1", job, f"--timeout={TIMEOUT}"]
        work.run(target.kubectl(*ready), env=target.env)
    return _follow(_events(target, "logs", "--follow", job))


def _show_scaling(target: Target) -> None:
    """Send more than one pod can do in time to a group that has none, and watch it come and go."""
    pods = Replicas(lambda: _worker_pods(target))
    with step("Wait until a worker group without work has no pods"):
        _expect(pods.wait(pods.rests, within_seconds=IDLE_SECONDS), pods)
    console.print(
        f"\nWorker pods, while {SURGE_TASKS} tasks of {SURGE_TASK_SECONDS} s come at once:"
    )
    pods = Replicas(lambda: _worker_pods(target), tell=console.print)
    pods.look()
    run = ("exec", "deploy/shop-web", "--container=web", "--", "python", "-m", "django")
    surge = ("--queue=thumbnails", f"--count={SURGE_TASKS}", f"--seconds={SURGE_TASK_SECONDS}")
    for _ in _events(target, *run, "run_pipelines", "--scenario=hold", *surge):
        pods.look()
    _expect(pods.wait(pods.came_and_went, within_seconds=IDLE_SECONDS), pods)


def _expect(holds: bool, pods: Replicas) -> None:
    if not holds:
        raise Problem(
            f"No worker group went to zero in {IDLE_SECONDS} s; worker pods: {pods}. "
            f"Does the exporter answer? kubectl -n {NAMESPACE} logs deploy/jobs-exporter"
        )


def _worker_pods(target: Target) -> dict[str, int]:
    each = r"{.metadata.labels.celery-worker-group}={.status.replicas}{'\n'}"
    output = f"--output=jsonpath={{range .items[*]}}{each}{{end}}"
    selector = "--selector=app.kubernetes.io/component=worker"
    command = target.kubectl("get", "deployments", selector, output)
    return replicas.parsed(capture(command, env=target.env))


def _events(target: Target, *arguments: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines that a kubectl command prints, to its end."""
    command = target.kubectl(*arguments)
    with subprocess.Popen(command, env=target.env, stdout=subprocess.PIPE, text=True) as running:
        if running.stdout is None:
            raise AssertionError("stdout is a pipe")
        for line in running.stdout:
            if line.startswith("{"):
                yield json.loads(line)


def _follow(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    columns = (
        TextColumn("Tasks done"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[retried]} retried"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=None, retried=0)
        for event in events:
            if event.get("event") == "progress":
                counts = {"completed": event["done"], "total": event["expected"]}
                progress.update(bar, **counts, retried=event["retried"])
            elif event.get("event") == "report":
                return event
    raise Problem("The pipelines ended without a report")


def _show(report: Mapping[str, Any], seconds: float) -> None:
    numbers = {"sent": "sent", "done": "done", "failed": "failed", "retried": "retried"}
    numbers |= {"duplicates": "twice", "p50_seconds": "median s", "max_seconds": "longest s"}
    table = Table(title="What the workers did, as the ledger has it", title_justify="left")
    for text in ("queue", "group", "task"):
        table.add_column(text)
    for heading in numbers.values():
        table.add_column(heading, justify="right")
    for row in report["rows"]:
        task = row["task"].rsplit(".", 1)[-1]
        table.add_row(row["queue"], row["group"], task, *(_text(row[key]) for key in numbers))
    console.print(table)
    effects = [f"{count} {name}" for name, count in report["effects"].items() if count]
    console.print(f"In PostgreSQL: {', '.join(effects).replace('_', ' ')}.")
    console.print(f"Seconds are from send to done. From the command to here: {seconds:.0f} s.")


_NEXT = """
Look further:
  export PATH={bin}:$PATH KUBECONFIG={kubeconfig}
  kubectl -n {namespace} get pods
  kubectl -n {namespace} logs -l celery-worker-group=io --prefix
  kubectl -n {namespace} exec deploy/shop-web -- python -m django run_report {run}
  kubectl -n {namespace} port-forward svc/jobs-rabbitmq 15672   # RabbitMQ's own page
`make down` removes the cluster."""


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _show_state(target: Target) -> None:
    """Print what a person would ask for next: the pods and the last events."""
    for question in (["get", "pods"], ["get", "events", "--sort-by=.lastTimestamp"]):
        try:
            lines = capture(target.kubectl(*question), env=target.env).splitlines()
        except Problem as problem:
            lines = [str(problem)]
        console.print("\n".join(lines[-25:]), markup=False)
