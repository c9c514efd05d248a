"""What only Amazon SQS has: queues that exist, FIFO, delays, identities, a size limit."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from celery_runtime.brokers.sqs import dead_name
from celery_runtime.deadletter.box import Box
from celery_runtime.deadletter.record import DeadMessage
from celery_runtime.queues import TaskQueue
from tests.runtime.brokers import servers
from tests.runtime.brokers.conftest import (
    LIMIT,
    VISIBILITY_SECONDS,
    OpenShop,
    Servers,
    Shop,
    furnish,
    new_queues,
)
from tests.runtime.conftest import CHART_POOLS, Mounted, wait_until

# boto leaves the sockets of its clients to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)
on_sqs = pytest.mark.parametrize("broker", ["sqs"], indirect=True)
Client = Any
#: Amazon's limit since August 2025.
LARGEST_BYTES = 1_048_576


class Recording:
    """The requests that the server was sent."""

    def __init__(self, endpoint: str) -> None:
        self._address = f"{endpoint}/moto-api/recorder"

    def start(self) -> None:
        for verb in ("reset", "start"):
            self._ask(f"{verb}-recording", method="POST")

    def stop(self) -> None:
        self._ask("stop-recording", method="POST")

    def actions(self) -> Counter[str]:
        """How often each action was asked for, as in AmazonSQS.SendMessage."""
        entries = map(json.loads, self._ask("download-recording", method="GET").splitlines())
        headers = ({name.lower(): value for name, value in e["headers"].items()} for e in entries)
        return Counter(each.get("x-amz-target", "?") for each in headers)

    def _ask(self, verb: str, *, method: str) -> bytes:
        request = urllib.request.Request(f"{self._address}/{verb}", method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return bytes(answer.read())


@pytest.fixture
def server(running: Servers) -> servers.SqsServer:
    found = running["sqs"]
    assert isinstance(found, servers.SqsServer)
    return found


@pytest.fixture
def recording(server: servers.Server) -> Iterator[Recording]:
    """What is asked of the server from here on."""
    started = Recording(server.settings["endpoint"])
    started.start()
    yield started
    started.stop()


@pytest.fixture
def sqs(server: servers.SqsServer) -> Client:
    """A client of the test's own."""
    return server.client


def dead(shop: Shop) -> list[DeadMessage]:
    """The dead messages of all queues; whoever has looked at them hides them for a while."""
    queues = [queue for queue in shop.app.amqp.queues.values() if isinstance(queue, TaskQueue)]
    with Box(shop.app, queues) as box:
        return [held.dead for held in box]


def first_dead(shop: Shop) -> DeadMessage:
    found: list[DeadMessage] = []

    def looked() -> bool:
        found.extend(dead(shop))
        return bool(found)

    wait_until(looked, "a dead message")
    return found[0]


# Queues that exist


def made(sqs: Client, name: str, *, redrive: bool = True) -> dict[str, str]:
    """The URLs of a queue and its dead-letter queue, made as their owner would."""
    dead_url = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    # Shorter than a renewal takes: the settings' own has to count.
    attributes = {"VisibilityTimeout": "1"}
    if redrive:
        asked = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": LIMIT + 1}
        attributes["RedrivePolicy"] = json.dumps(policy)
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return {name: url, f"{name}-dead": dead_url}


@pytest.fixture
def existing(
    server: servers.Server, mounted: Mounted, redis_url: str, open_shop: OpenShop, sqs: Client
) -> "Existing":
    return Existing(server, mounted, redis_url, open_shop, sqs)


class Existing:
    """Opens the application on queues that it must not make."""

    def __init__(
        self,
        server: servers.Server,
        mounted: Mounted,
        redis_url: str,
        open_shop: OpenShop,
        sqs: Client,
    ) -> None:
        self._server, self._mounted, self._sqs = server, mounted, sqs
        self._results, self._open_shop = f"{redis_url}/0", open_shop

    def __call__(self, *, redrive: bool = True, hidden_seconds: int = VISIBILITY_SECONDS) -> Shop:
        queues = new_queues()
        urls: dict[str, str] = {}
        for queue in queues:
            urls |= made(self._sqs, queue, redrive=redrive)
        self._mounted.secret("results/url", self._results)
        furnish(
            self._mounted,
            self._server,
            *queues,
            queueUrls=urls,
            visibilityTimeoutSeconds=hidden_seconds,
        )
        return self._open_shop(self._mounted, self._server)


@both_pools
def test_queues_known_by_url_are_used_as_they_are(
    existing: Existing, recording: Recording, pool: str
) -> None:
    shop = existing(hidden_seconds=30)
    recording.start()
    service = shop.worker(pool)
    charge = shop.send("charge_customer", 7, 1, queue=shop.email)
    refused = shop.send("refuse")
    long = shop.send("send_email", "long", 3)
    assert long.get(timeout=20) == "long"
    assert charge.get(timeout=20) == 7
    assert shop.runs(long) == 1
    message = first_dead(shop)
    assert (message.id, message.reason) == (refused.id, "rejected")
    assert service.stop() == 0
    asked = set(recording.actions())
    assert "AmazonSQS.SendMessage" in asked
    assert not {"AmazonSQS.CreateQueue", "AmazonSQS.ListQueues", "?"} & asked


def test_without_a_redrive_policy_a_deadly_message_never_dies(existing: Existing) -> None:
    shop = existing(redrive=False)
    poison = shop.send("run_out_of_memory")
    service = shop.start("prefork")
    shop.wait_for_runs(poison, LIMIT + 3, seconds=90)
    assert dead(shop) == []
    service.process.kill()


# FIFO


@pytest.fixture
def fifo(server: servers.Server, mounted: Mounted, redis_url: str, open_shop: OpenShop) -> Shop:
    """The application on FIFO queues that it makes itself."""
    mounted.secret("results/url", f"{redis_url}/0")
    queues = [f"{name}.fifo" for name in new_queues()]
    furnish(mounted, server, *queues, visibilityTimeoutSeconds=VISIBILITY_SECONDS)
    return open_shop(mounted, server)


def order(results: list[AsyncResult], *, seconds: float = 40) -> list[str]:
    """What they returned, in the order in which they were done."""
    for result in results:
        result.get(timeout=seconds)
    return [str(result.result) for result in sorted(results, key=lambda done: done.date_done)]


@both_pools
def test_a_fifo_queue_keeps_the_order_of_each_group(fifo: Shop, pool: str) -> None:
    names = [[f"{group}{n}" for n in range(5)] for group in "ab"]
    sent = [
        [fifo.send("send_email", name, 0.2, MessageGroupId=name[0]) for name in group]
        for group in names
    ]
    service = fifo.start(pool)
    assert [order(group) for group in sent] == names
    assert service.stop() == 0


@both_pools
def test_a_fifo_queue_has_retries_in_their_group_and_dead_letters(fifo: Shop, pool: str) -> None:
    service = fifo.worker(pool)
    retried = fifo.send("charge_customer", 7, 1, MessageGroupId="orders")
    assert retried.get(timeout=30) == 7
    groups = fifo.ledger.lrange(f"groups:{retried.id}", 0, -1)
    assert groups == ["orders", "orders"]
    refused = fifo.send("refuse")
    assert first_dead(fifo).id == refused.id
    assert service.stop() == 0


def test_a_countdown_in_a_fifo_queue_holds_up_its_group_and_no_other(fifo: Shop) -> None:
    service = fifo.worker("prefork")
    later = fifo.send("send_email", "later", countdown=5, MessageGroupId="a")
    behind = fifo.send("send_email", "behind", MessageGroupId="a")
    beside = fifo.send("send_email", "beside", MessageGroupId="b")
    assert order([later, behind, beside]) == ["beside", "later", "behind"]
    assert service.stop() == 0


# Delays


def counts(server: servers.SqsServer, shop: Shop) -> tuple[int, int, int]:
    """How many messages of the default queue wait, are delayed, are held by a worker."""
    found = server.attributes(shop.app.conf.task_default_queue)
    number = "ApproximateNumberOfMessages"
    return (int(found[number]), int(found[f"{number}Delayed"]), int(found[f"{number}NotVisible"]))


@on_sqs
@both_pools
def test_a_countdown_waits_in_the_queue_and_in_no_worker(
    shop: Shop, server: servers.SqsServer, pool: str
) -> None:
    service = shop.worker(pool)
    sent_at = time.time()
    later = shop.send("send_email", "later", countdown=6)
    assert shop.send("send_email", "now").get(timeout=20) == "now"
    # The result is there before the message is acknowledged.
    wait_until(lambda: counts(server, shop) == (0, 1, 0), "the other is in no worker", seconds=3)
    assert later.get(timeout=20) == "later"
    assert time.time() - sent_at >= 6
    shop.send("charge_customer", 7, 1, 60)
    wait_until(lambda: counts(server, shop) == (0, 1, 0), "a retry waits in the queue")
    assert service.stop() == 0


@on_sqs
def test_beyond_a_quarter_of_an_hour_a_countdown_waits_there_first(
    shop: Shop, server: servers.SqsServer
) -> None:
    shop.send("send_email", "tomorrow", countdown=86_400)
    assert counts(server, shop) == (0, 1, 0)


# Who is asked for what


def queue_names(sqs: Client) -> set[str]:
    urls = sqs.list_queues(MaxResults=1000).get("QueueUrls", [])
    return {url.rpartition("/")[2] for url in urls}


@on_sqs
@both_pools
def test_a_worker_asks_for_nothing_but_its_queues(
    shop: Shop, recording: Recording, sqs: Client, pool: str
) -> None:
    before = queue_names(sqs)
    service = shop.worker(pool, "--task-events")
    assert shop.send("send_email", "a").get(timeout=20) == "a"
    assert service.stop() == 0
    asked = recording.actions()
    assert {action.split(".")[0] for action in asked} == {"AmazonSQS"}
    queues = (shop.app.conf.task_default_queue, shop.email)
    # Remote control would have one more for each worker.
    assert queue_names(sqs) - before == {*queues, *map(dead_name, queues)}


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@on_sqs
@pytest.mark.parametrize("identity", ["access key", "web identity"])
def test_without_mounted_credentials_the_workload_s_own_are_used(
    shop: Shop,
    mounted: Mounted,
    open_shop: OpenShop,
    monkeypatch: pytest.MonkeyPatch,
    recording: Recording,
    identity: str,
) -> None:
    for name in ("username", "password"):
        (mounted.path / "broker" / name).unlink()
    for name, value in _environment(mounted, shop.server, identity).items():
        monkeypatch.setenv(name, value)
    shop = open_shop(mounted, shop.server)
    service = shop.worker("prefork")
    assert shop.send("send_email", "a").get(timeout=20) == "a"
    assert service.stop() == 0
    assert ("?" in recording.actions()) == (identity == "web identity")


def _environment(mounted: Mounted, server: servers.Server, identity: str) -> dict[str, str]:
    if identity == "access key":
        return ENVIRONMENT
    mounted.secret("token", "a token of the service account")
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/jobs",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(mounted.path / "token"),
        "AWS_ENDPOINT_URL_STS": server.settings["endpoint"],
        "AWS_DEFAULT_REGION": server.settings["region"],
    }


@on_sqs
def test_a_producer_without_any_credentials_is_told(
    shop: Shop, mounted: Mounted, open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("username", "password"):
        (mounted.path / "broker" / name).unlink()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(mounted.path / "nothing"))
    shop = open_shop(mounted, shop.server)
    with pytest.raises(OperationalError, match="Unable to locate credentials"):
        shop.send("send_email", "a")


# Size


@on_sqs
def test_a_message_that_is_too_large_is_the_producer_s_error_at_once(shop: Shop) -> None:
    # Twice in base64: the body within the message, and the message as a whole.
    fits = int(LARGEST_BYTES * (3 / 4) ** 2) - 2000
    shop.send("send_email", "x" * fits)
    with pytest.raises(ClientError, match="must be shorter than"):
        shop.send("send_email", "x" * (fits + 4000))
