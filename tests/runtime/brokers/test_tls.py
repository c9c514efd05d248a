"""Connections whose other end has to prove who it is."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from redbeat.schedulers import get_redis
from redis.exceptions import ConnectionError as RedisConnectionError

from celery_runtime import configure
from celery_runtime.coordination import store
from tests.certificates import Authority
from tests.runtime.brokers import redisservers
from tests.runtime.brokers.conftest import OpenShop, furnish, keep_results, new_queues
from tests.runtime.brokers.servers import PASSWORD
from tests.runtime.conftest import CHART_POOLS, Mounted, Start, wait_until
from tests.runtime.coordination.effects import Effects

#: For a server that is trusted and speaks no AMQP.
ANSWER_SECONDS = 2
both_pools = pytest.mark.parametrize("pool", CHART_POOLS)


@pytest.fixture
def authority() -> Authority:
    """One that nobody knows."""
    return Authority()


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[redisservers.RedisProcess]:
    """A Redis that speaks nothing but TLS, and trusts who has the password."""
    started = redisservers.tls_redis(tmp_path / "redis", authority)
    started.start()
    yield started
    started.remove()


@pytest.fixture
def encrypted(mounted: Mounted, server: redisservers.RedisProcess, authority: Authority) -> Mounted:
    """Broker and results on that Redis, and its authority mounted for both."""
    furnish(mounted, server, *new_queues())
    for service in ("broker", "results"):
        mounted.secret(f"{service}/ca.crt", authority.certificate.decode())
    keep_results(mounted, server)
    return mounted


@both_pools
def test_tasks_results_and_what_is_done_once_go_over_tls(
    encrypted: Mounted,
    server: redisservers.RedisProcess,
    open_shop: OpenShop,
    effects: Effects,
    pool: str,
) -> None:
    shop = open_shop(encrypted, server)
    service = shop.start(pool, app="sharedapp:app", EFFECTS_URL=effects.url)
    service.wait_for("ready", 200)
    order = f"{pool}-{encrypted.settings['defaultQueue']}"
    charges = [shop.app.send_task("shared.charge", [order]) for _ in range(2)]
    first, second = [charge.get(timeout=20) for charge in charges]
    assert first == second
    assert len(effects.runs(order)) == 1
    assert service.stop() == 0


def test_the_schedule_is_kept_over_tls(encrypted: Mounted, beat: Start) -> None:
    entry = {"task": "shop.send_email", "every": 1}
    encrypted.settings["beat"] = {"schedule": {"often": entry}}
    encrypted.write()
    service = beat()
    assert service.wait_for("ready", 200) == "ticking"
    assert service.stop() == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda mounted: (mounted.path / "broker" / "ca.crt").unlink(),
            "certificate verify failed: unable to get local issuer certificate",
            id="authority unknown",
        ),
        pytest.param(
            lambda mounted: mounted.settings["broker"].update(host="127.0.0.1"),
            "IP address mismatch, certificate is not valid for '127.0.0.1'",
            id="name wrong",
        ),
    ],
)
def test_a_worker_waits_for_a_broker_that_can_prove_who_it_is_and_says_why(
    encrypted: Mounted, celery: Start, change: Callable[[Mounted], None], reason: str
) -> None:
    change(encrypted)
    encrypted.write()
    service = celery("worker", "--pool=solo", "--loglevel=info")
    service.wait_for("live", 200)

    def complaints() -> list[str]:
        return [line["message"] for line in service.lines() if line["level"] == "ERROR"]

    wait_until(complaints, "a complaint")
    assert service.probe("ready") == (503, "waiting for the broker")
    assert reason in complaints()[0]
    assert PASSWORD not in service.log.read_text()
    assert service.stop() == 0


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda app: app.backend.client, id="results"),
        pytest.param(get_redis, id="schedule"),
        pytest.param(lambda app: store.of(app).redis, id="done once"),
    ],
)
def test_results_are_asked_only_from_who_can_prove_it(
    encrypted: Mounted, monkeypatch: pytest.MonkeyPatch, asked: Callable[[Celery], object]
) -> None:
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(encrypted.path))

    def ping() -> None:
        app = Celery(set_as_current=False)
        configure(app)
        asked(app).ping()  # type: ignore[attr-defined]
        app.close()

    ping()
    encrypted.settings["resultBackend"]["host"] = "127.0.0.1"
    encrypted.write()
    with pytest.raises(RedisConnectionError, match=r"is not valid for '127\.0\.0\.1'"):
        ping()
    (encrypted.path / "results" / "ca.crt").unlink()
    with pytest.raises(RedisConnectionError, match="unable to get local issuer certificate"):
        ping()


def test_the_name_of_a_rabbitmq_is_verified_too(
    mounted: Mounted,
    server: redisservers.RedisProcess,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The name is looked at before a word of AMQP is spoken: any server with TLS will do.
    mounted.settings["broker"] = {**server.settings, "kind": "rabbitmq", "host": "127.0.0.1"}
    mounted.secret("broker/ca.crt", authority.certificate.decode())
    mounted.write()
    monkeypatch.setenv("CELERY_RUNTIME_DIR", str(mounted.path))
    app = Celery(set_as_current=False)
    configure(app)
    assert "certificate is not valid for '127.0.0.1'" in reason_for_mistrust(app)
    app.close()


def reason_for_mistrust(app: Celery) -> str:
    """Why the broker is not trusted; one that is trusted, and does not answer, is a failure."""
    with app.connection_for_write(connect_timeout=ANSWER_SECONDS) as connection:
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            return str(error)
        except OSError as error:
            pytest.fail(f"the name was not verified: AMQP was spoken, and not answered ({error})")
    pytest.fail("the name was not verified, and AMQP was answered")
