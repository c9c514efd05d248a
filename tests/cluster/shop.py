"""The shop on the cluster: sending it work, and asking PostgreSQL what came of it."""

import json
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pykube import HTTPClient, KubeConfig, Pod

from ci.demo import RELEASE, Target
from ci.paths import ROOT
from ci.steps import Problem, capture, succeeds
from tests.cluster import inside
from tests.cluster.forward import Forward
from tests.cluster.ledger import Ledger
from tests.cluster.web import Refused, Web

T = TypeVar("T")
CHART = ROOT / "charts" / "celery"
#: What every release of the tests asks of its node.
SMALL = Path(__file__).parent / "small.yaml"
#: The release without RabbitMQ.
ON_REDIS = "onredis"


@dataclass(frozen=True)
class Shop:
    """A namespace with the shop and the release under test."""

    target: Target

    def kubectl(self, *arguments: str | Path) -> str:
        """Return what a kubectl command prints; raises Problem."""
        return capture(self.target.kubectl(*arguments), env=self.target.env)

    def get(self, *arguments: str) -> Any:  # noqa: ANN401
        """Return the object or list that `kubectl get` finds."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def exec(self, pod: str, *command: str, container: str = "") -> str:
        """Return what a command in a pod prints; raises Problem, one of them AnswerLost."""
        code, said, errors = self._inside(pod, command, container)
        if code:
            raise Problem(f"{pod}: {' '.join(command)}: exit code {code}: {errors.strip() or said}")
        return said

    def does(self, pod: str, *command: str) -> bool:
        """Tell whether a command in a pod succeeds; raises Problem where it does not run."""
        return self._inside(pod, command, "")[0] == 0

    def _inside(self, pod: str, command: Sequence[str], container: str) -> tuple[int, str, str]:
        options = [f"--container={container}"] if container else []
        exec_ = self.target.kubectl("exec", "--stdin", pod, *options)
        return inside.run(exec_, command, env=self.target.env)

    def answers(self, *arguments: str) -> bool:
        """Tell whether a kubectl command succeeds."""
        return succeeds(self.target.kubectl(*arguments), env=self.target.env)

    def helm(self, *arguments: str) -> str:
        """Return what a helm command prints; raises Problem."""
        return capture(self.target.helm(*arguments), env=self.target.env)

    def upgrade(self, *values: str) -> str:
        """Change the release's values, given as `--set` takes them, and wait for its pods."""
        return capture(self.target.upgrade(*values), env=self.target.env)

    def options(self, values: Mapping[str, Any], *environments: str) -> list[str]:
        """Return what helm needs for one more release: files of values/, keys, images."""
        image, exporter = self.target.image, self.target.exporter
        given: dict[str, Any] = {
            "image": {"repository": image.repository, "tag": image.tag},
            "exporter.image": {"repository": exporter.repository, "tag": exporter.tag},
        }
        files = [*(ROOT / "values" / f"{name}.yaml" for name in environments), SMALL]
        keys = {**given, **values}
        settings = [f"--set-json={key}={json.dumps(value)}" for key, value in keys.items()]
        return [*(f"--values={file}" for file in files), *settings]

    @contextmanager
    def release(self, name: str, *options: str, chart: Path = CHART) -> Iterator[None]:
        """Install the chart once more, beside the release under test, for as long as it lasts."""
        try:
            self.helm("install", name, str(chart), *options, "--wait", "--timeout=3m")
            yield
        finally:
            self.helm("uninstall", name, "--ignore-not-found")

    def on_redis(self, values: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Install the chart without RabbitMQ as well; one worker group is enough, and no beat."""
        all_queues = ["default", "email", "high_priority", "thumbnails"]
        small = {
            "workers.cpu": None,
            "workers.io.queues": all_queues,
            "beat": {"enabled": False, "schedule": {"reconcile": None}},
        }
        return self.release(ON_REDIS, *self.options({**small, **values}, "dev", "redis"))

    def run(self, *options: str) -> dict[str, Any]:
        """Run a scenario to its end; returns its report and fails on anything undone."""
        return self._events(*options)[-1]

    def hold(self, queue: str = "default", *, count: int = 1, seconds: float) -> list[str]:
        """Send tasks that each hold a slot of the workers of a queue; returns their ids."""
        wish = {"queue": queue, "count": count, "seconds": seconds}
        sent: list[str] = self._web.post("/holds", wish)["task_ids"]
        return sent

    def _events(self, *options: str) -> list[dict[str, Any]]:
        out = self.exec("deploy/shop-web", "django-admin", "run_pipelines", *options)
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self.target, self.secret("shop-database")["DATABASE_URL"])

    @cached_property
    def _web(self) -> Web:
        return Web(Forward(self.target, "deployment/shop-web", 8000))

    def sql(self, query: str) -> list[list[str]]:
        """Return the rows of a query to the shop's database, every value as text."""
        return self._ledger.rows(query)

    def tasks(self, *task_ids: str) -> dict[str, Mapping[str, str]]:
        """Return what the ledger holds of these tasks, by their ids."""
        columns = ("state", "starts", "queue", "worker_group", "hostname", "retries")
        wanted = ", ".join(f"'{task_id}'" for task_id in task_ids)
        names = ", ".join(columns)
        rows = self.sql(f"SELECT task_id, {names} FROM shop_taskrun WHERE task_id IN ({wanted})")  # noqa: S608
        return {task_id: dict(zip(columns, row, strict=True)) for task_id, *row in rows}

    def task(self, task_id: str) -> Mapping[str, str]:
        """Return what the ledger holds of a task; nothing where it has not begun."""
        return self.tasks(task_id).get(task_id, {})

    def until(self, state: str, *task_ids: str, within_seconds: float) -> None:
        """Wait until all these tasks are in this state."""

        def are_there() -> bool:
            known = self.tasks(*task_ids)
            return all(known.get(task_id, {}).get("state") == state for task_id in task_ids)

        eventually(are_there, within_seconds=within_seconds, what=f"{len(task_ids)} tasks {state}")

    def worker_pods(self, group: str) -> list[str]:
        """Return the names of a worker group's pods that are not being deleted."""
        return self.pods(f"celery-worker-group={group}")

    def pods(self, selector: str) -> list[str]:
        """Return the names of the pods with these labels that are not being deleted."""
        return [
            pod["metadata"]["name"]
            for pod in self.all_pods(selector)
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def all_pods(self, selector: str) -> list[Any]:
        """Return the pods with these labels, whatever becomes of them."""
        query = Pod.objects(self._api, namespace=self.target.namespace).filter(selector=selector)
        return [pod.obj for pod in query]

    @cached_property
    def _api(self) -> HTTPClient:
        # Tests look at pods every second: kubectl would be a process each time.
        return HTTPClient(KubeConfig.from_file(self.target.env["KUBECONFIG"]))

    def addresses(self, selector: str) -> list[str]:
        """Return the addresses of the pods with these labels that have one."""
        pods = self.all_pods(selector)
        return [pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")]

    def restarts(self, selector: str) -> dict[str, int]:
        """Return how often each container of the pods with these labels was started again."""
        return {
            f"{pod['metadata']['name']}/{container['name']}": container["restartCount"]
            for pod in self.all_pods(selector)
            for container in pod["status"].get("containerStatuses", [])
        }

    def evict(self, pod: str) -> bool:
        """Ask as `kubectl drain` does; tell whether the pod goes, or its budget keeps it."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.target.namespace}/pods/{pod}/eviction"
        try:
            self.put(eviction, "create", f"--raw={path}")
        except Problem as problem:
            if "disruption budget" not in str(problem):
                raise
            return False
        return True

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Make an object, or a List of them, as it is described."""
        self.put(manifest, "apply")

    def put(self, manifest: Mapping[str, Any], *command: str) -> str:
        """Return what a kubectl command prints that reads an object; raises Problem."""
        words = [str(word) for word in self.target.kubectl(*command, "--filename=-")]
        text = json.dumps(manifest)
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, env=self.target.env, check=False
        )
        if done.returncode:
            raise Problem(done.stderr)
        return done.stdout

    def amqp_url(self) -> str:
        """Return the URL of the release's RabbitMQ for every namespace, password and all."""
        login = self.secret(f"{RELEASE}-rabbitmq")
        username, password = (quote(login[key]) for key in ("username", "password"))
        return f"amqp://{username}:{password}@{RELEASE}-rabbitmq.{self.target.namespace}:5672/%2f"

    def secret(self, name: str) -> dict[str, str]:
        """Return what a Secret holds."""
        data = self.get("secret", name)["data"]
        return {key: b64decode(value).decode() for key, value in data.items()}

    def remove(self, *, wait: bool = True) -> None:
        """Remove the namespace with all that is in it."""
        for port in {"_ledger", "_web"} & self.__dict__.keys():
            self.__dict__.pop(port).close()
        namespace = self.target.namespace
        self.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
        # Workers would wait for a broker that goes with them, to give back what they hold.
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        if wait:
            self.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=120s")

    def diagnosis(self) -> str:
        """Return pods, events and logs as one text."""
        questions: list[list[str]] = [
            ["get", "all", "--output=wide"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["describe", "pods"],
        ]
        for pod in self.kubectl("get", "pods", "--output=name").split():
            questions.append(["logs", pod, "--all-containers", "--timestamps"])
            if succeeds(self.target.kubectl("logs", pod, "--previous"), env=self.target.env):
                questions.append(["logs", pod, "--previous", "--timestamps"])
        return "\n".join(f"$ kubectl {' '.join(words)}\n{self._ask(*words)}" for words in questions)

    def _ask(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments)
        except Problem as problem:
            return str(problem)


@contextmanager
def flowing(send: Callable[[], list[str]], *, every_seconds: float = 3) -> Iterator[list[str]]:
    """Send tasks until the end of the block; a send that the broker refuses fails the test."""
    sent: list[str] = []
    refused: list[str] = []

    def flow() -> None:
        try:
            sent.extend(send())
        except Refused as problem:
            refused.append(str(problem))
        except Problem:
            pass  # the pod that sends may be the one that is replaced

    with repeating(flow, every_seconds=every_seconds):
        yield sent
    assert not refused
    assert sent


def more(sent: Sequence[str]) -> None:
    """Wait until what flows has brought more tasks than there are now."""
    before = len(sent)
    eventually(lambda: len(sent) > before, within_seconds=60, what=f"more than {before} sent")


@contextmanager
def repeating(act: Callable[[], object], *, every_seconds: float) -> Iterator[None]:
    """Act at once and then from time to time beside the block; raises what has ended it."""
    over = threading.Event()

    def follow() -> None:
        act()
        while not over.wait(every_seconds):
            act()

    with ThreadPoolExecutor(max_workers=1) as pool:
        followed = pool.submit(follow)
        try:
            yield
        finally:
            over.set()
    followed.result()


def eventually(
    ask: Callable[[], T], *, within_seconds: float, what: str, every_seconds: float = 1
) -> T:
    """Return the first true answer; fails with the last one when the time is over."""
    deadline = time.monotonic() + within_seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_seconds:g} s: {what}; last seen: {answer!r}")
        time.sleep(every_seconds)
    return answer
