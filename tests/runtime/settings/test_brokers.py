"""Each kind of broker in settings.json: what becomes of it, and what is refused."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.connection import Connection
from kombu.utils.url import parse_url

from celery_runtime import SettingsError
from celery_runtime.brokers import sqs
from celery_runtime.queues import TaskQueue
from celery_runtime.settings import credentials
from celery_runtime.settings.configuration import celery_configuration
from celery_runtime.settings.credentials import Credentials, Secrets
from celery_runtime.settings.parsing import parse
from celery_runtime.transports.sqs import delay_seconds
from tests.runtime.conftest import Mounted
from tests.runtime.settings.test_parsing import TEXT

BROKER = partial(Credentials, "broker")
RESULTS = Credentials("results", password="r")
LOGIN = BROKER(username="user", password="p@ss")
NOBODY = BROKER()
CA = Path("mounted") / "broker" / "ca.crt"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MASTER = {"master": "jobs", "hosts": ["s-0:26379", "s-1", "[fd00::1]:26379"]}
URL = "https://sqs.eu-central-1.amazonaws.com/1/"
AWS = {"kind": "sqs", "region": "eu-central-1"}


def configured(
    broker: dict[str, Any],
    login: Credentials = LOGIN,
    *,
    queues: tuple[str, ...] = ("default",),
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    document = {
        "broker": broker,
        "resultBackend": {"kind": "redis", "host": "results"},
        "defaultQueue": queues[0],
        "queues": {name: {} for name in queues},
        **more,
    }
    return celery_configuration(parse(document), Secrets(login, RESULTS))


def options(*arguments: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    found: dict[str, Any] = configured(*arguments, **more)["broker_transport_options"]
    return found


def refusal(*arguments: Any, **more: Any) -> str:  # noqa: ANN401
    with pytest.raises(SettingsError) as caught:
        configured(*arguments, **more)
    return str(caught.value)


def redis(**keys: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"kind": "redis", "host": "store", **keys}


def urls(*names: str) -> dict[str, str]:
    return {name: URL + name for name in names}


# RabbitMQ


@pytest.mark.parametrize(
    ("max_task_seconds", "asked"),
    [(600, {}), (1740, {}), (7200, {"x-consumer-timeout": 7_260_000})],
)
def test_rabbitmq_is_asked_to_wait_for_a_task_that_takes_longer_than_its_half_hour(
    max_task_seconds: int, asked: dict[str, int]
) -> None:
    result = configured({"kind": "rabbitmq", "host": "mq"}, maxTaskSeconds=max_task_seconds)
    assert [queue.consumer_arguments for queue in result["task_queues"]] == [asked]


def test_rabbitmq_over_tls_verifies_the_name_by_the_mounted_authority() -> None:
    tls = {"kind": "rabbitmq", "host": "mq", "tls": True}
    result = configured(tls, BROKER("u", "p", ca_file=CA))
    assert result["broker_url"] == "amqps://u:p@mq:5671/%2F"
    # kombu puts the URL's host in place of None; without the key no name is checked.
    assert result["broker_use_ssl"] == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": None,
        "ca_certs": str(CA),
    }
    assert "ca_certs" not in configured(tls)["broker_use_ssl"]
    assert "broker_use_ssl" not in configured({"kind": "rabbitmq", "host": "mq"})


@pytest.mark.parametrize(
    ("kind", "url"), [("rabbitmq", "amqps://u:p@mq/shop"), ("redis", "rediss://:p@store/0")]
)
def test_a_mounted_url_that_asks_for_tls_is_verified_too(kind: str, url: str) -> None:
    verified = configured({"kind": kind}, BROKER(url=url))["broker_use_ssl"]
    assert ssl.CERT_REQUIRED in verified.values()
    plain = url.replace("s://", "://")
    assert "broker_use_ssl" not in configured({"kind": kind}, BROKER(url=plain))


# Redis and Valkey


@given(username=st.none() | TEXT, password=TEXT)
def test_any_credential_survives_the_url_of_redis(username: str | None, password: str) -> None:
    for broker in (redis(database=3), {"kind": "redis", "database": 3, "sentinel": MASTER}):
        url = configured(broker, BROKER(username, password))["broker_url"].split(";")[0]
        parsed = parse_url(url)
        assert (parsed["userid"], parsed["password"]) == (username, password)
        assert parsed["virtual_host"] == "3"


def test_redis_over_tls_verifies_by_the_mounted_authority() -> None:
    result = configured(redis(tls=True, port=6380), BROKER(password="p", ca_file=CA))
    assert result["broker_url"] == "rediss://:p@store:6380/0"
    assert result["broker_use_ssl"] == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_ca_certs": str(CA),
    }
    assert configured(redis())["broker_url"] == "redis://user:p%40ss@store:6379/0"


def test_sentinels_are_asked_for_the_master_with_their_own_password() -> None:
    broker = {"kind": "redis", "database": 2, "sentinel": MASTER}
    result = configured(broker, BROKER(password="p", sentinel_password="s"))
    assert result["broker_url"] == (
        "sentinel://:p@s-0:26379/2;sentinel://:p@s-1/2;sentinel://:p@[fd00::1]:26379/2"
    )
    found = result["broker_transport_options"]
    assert found["master_name"] == "jobs"
    assert found["sentinel_kwargs"]["password"] == "s"
    assert found["sentinel_kwargs"]["socket_timeout"] == 5
    assert "ssl" not in found["sentinel_kwargs"]
    with Connection(result["broker_url"]) as connection:
        assert connection.alt[1] == "sentinel://:p@s-1/2"


def test_tls_is_for_the_sentinels_too() -> None:
    broker = {"kind": "redis", "tls": True, "sentinel": MASTER}
    found = options(broker, BROKER(password="p", ca_file=CA))["sentinel_kwargs"]
    assert found["ssl"] is True
    assert (found["ssl_cert_reqs"], found["ssl_ca_certs"]) == (ssl.CERT_REQUIRED, str(CA))
    assert found["password"] is None


def test_a_mounted_url_may_name_the_sentinels() -> None:
    mounted = BROKER(url="sentinel://:p@s-0:26379/0;sentinel://:p@s-1:26379/0")
    result = configured({"kind": "redis", "sentinel": {"master": "jobs"}}, mounted)
    assert result["broker_url"] == mounted.url
    assert result["broker_transport_options"]["master_name"] == "jobs"


def test_what_redis_shares_is_told_apart_by_the_prefix_and_ends_at_the_limit() -> None:
    found = options(redis(keyPrefix="shop:"), queues=("default", "email"))
    assert found["global_keyprefix"] == "shop:"
    assert found["dead_letters"]["email"] == {"queue": "email.dead", "limit": 5}
    assert options(redis())["global_keyprefix"] == ""


# Amazon SQS


def test_sqs_without_an_access_key_has_no_credentials_in_its_url() -> None:
    assert configured(AWS, NOBODY)["broker_url"] == "sqs://"
    result = configured({**AWS, "endpoint": "https://sqs.internal:4566"}, NOBODY)
    assert result["broker_url"] == "sqs://sqs.internal:4566"
    assert result["broker_transport_options"]["is_secure"] is True


@given(key=TEXT, secret=TEXT)
def test_any_access_key_survives_the_url_of_sqs(key: str, secret: str) -> None:
    broker = {**AWS, "endpoint": "http://127.0.0.1:4566"}
    result = configured(broker, BROKER(key, secret))
    connection = Connection(result["broker_url"])
    assert (connection.userid, connection.password) == (key, secret)
    assert (connection.hostname, connection.port) == ("127.0.0.1", 4566)
    assert result["broker_transport_options"]["is_secure"] is False


def test_sqs_has_what_it_can_and_no_remote_control() -> None:
    result = configured({**AWS, "queuePrefix": "shop-"}, NOBODY)
    assert result["worker_enable_remote_control"] is False
    assert result["worker_send_task_events"] is False
    found = result["broker_transport_options"]
    assert (found["region"], found["queue_name_prefix"]) == ("eu-central-1", "shop-")
    assert found["dead_letters"] == {"default": {"queue": "default-dead", "limit": 5}}
    assert "predefined_queues" not in found
    assert "is_secure" not in found


def test_the_dead_letters_of_a_fifo_queue_are_fifo_too() -> None:
    assert sqs.dead_name("orders.fifo") == "orders-dead.fifo"
    assert sqs.dead_name("orders") == "orders-dead"
    (queue,) = configured(AWS, NOBODY, queues=("orders.fifo",))["task_queues"]
    assert isinstance(queue, TaskQueue)
    assert queue.dead_letters.name == "orders-dead.fifo"


def test_queues_that_exist_are_known_by_their_urls() -> None:
    names = ("default", "default-dead", "orders.fifo", "orders-dead.fifo")
    broker = {**AWS, "queueUrls": urls(*names)}
    found = options(broker, NOBODY, queues=("default", "orders.fifo"))
    assert found["predefined_queues"] == {name: {"url": URL + name} for name in names}


@pytest.mark.parametrize(
    ("eta", "seconds"),
    [
        (NOW + timedelta(seconds=90), 90),
        (NOW + timedelta(seconds=90.9), 90),
        (NOW + timedelta(minutes=15), 900),
        (NOW + timedelta(days=3), 900),
        (NOW + timedelta(seconds=0.9), None),
        (NOW - timedelta(seconds=90), None),
        ((NOW + timedelta(seconds=90)).replace(tzinfo=None), None),
    ],
)
def test_sqs_holds_a_task_for_whole_seconds_up_to_a_quarter_of_an_hour(
    eta: datetime, seconds: int | None
) -> None:
    assert delay_seconds({"eta": eta.isoformat()}, NOW) == seconds


@pytest.mark.parametrize("headers", [{}, {"eta": None}, {"eta": "soon"}])
def test_what_has_no_eta_is_not_held(headers: dict[str, Any]) -> None:
    assert delay_seconds(headers, NOW) is None


# How long a message is hidden


@pytest.mark.parametrize("broker", [redis(), AWS])
def test_the_visibility_timeout_is_stated_or_follows_from_the_longest_task(
    broker: dict[str, Any],
) -> None:
    def timeout(**more: Any) -> int:  # noqa: ANN401
        stated = {**broker, **more.pop("stated", {})}
        return int(options(stated, LOGIN, **more)["visibility_timeout"])

    assert timeout() == 1800
    assert timeout(maxTaskSeconds=600) == 660
    assert timeout(maxTaskSeconds=600, stated={"visibilityTimeoutSeconds": 30}) == 30


def test_sqs_hides_a_message_for_twelve_hours_at_most() -> None:
    assert options(AWS, NOBODY, maxTaskSeconds=43_140)["visibility_timeout"] == 43_200
    message = refusal(AWS, NOBODY, maxTaskSeconds=43_141)
    assert "maxTaskSeconds is more than SQS can hide a message for: 12 hours" in message
    assert options(redis(), maxTaskSeconds=43_141)["visibility_timeout"] == 43_201


def test_an_option_of_the_transport_in_config_leaves_the_derived_ones() -> None:
    config = {"broker_transport_options": {"visibility_timeout": 7, "client_name": "shop"}}
    found = options(redis(keyPrefix="shop:"), config=config)
    assert (found["visibility_timeout"], found["client_name"]) == (7, "shop")
    assert found["global_keyprefix"] == "shop:"
    assert found["dead_letters"]


# What is refused


@pytest.mark.parametrize(
    ("broker", "message"),
    [
        ({"kind": "valkey"}, "broker.kind must be one of rabbitmq, redis, sqs, not 'valkey'."),
        ({"kind": "rabbitmq", "host": "mq", "database": 1}, "broker.database is not a known key."),
        ({"kind": "rabbitmq", "host": "mq", "tls": "yes"}, "tls must be true or false, not a str"),
        (redis(vhost="/"), "broker.vhost is not a known key. Did you mean host?"),
        (redis(tsl=True), "broker.tsl is not a known key. Did you mean tls?"),
        (redis(port="6379"), "broker.port must be a whole number, not a string."),
        (redis(database=-1), "broker.database must be from 0 to 2147483647, not -1."),
        (redis(tls=1), "broker.tls must be true or false, not a whole number."),
        (redis(keyPrefix=None), "broker.keyPrefix must be a string, not null."),
        (redis(visibilityTimeoutSeconds=0), "visibilityTimeoutSeconds must be from 1 to 2147483"),
        (redis(visibilityTimeoutSeconds=True), "TimeoutSeconds must be a whole number, not true."),
        ({"kind": "redis"}, "broker.host is missing. Set it, or mount a whole URL as a secret."),
        (redis(sentinel=MASTER), "broker.host and sentinel exclude each other."),
        ({"kind": "redis", "sentinel": ["s"]}, "broker.sentinel must be an object, not a list."),
        ({"kind": "redis", "sentinel": {"hosts": ["s"]}}, "broker.sentinel.master is missing."),
        ({"kind": "redis", "sentinel": {**MASTER, "port": 1}}, "sentinel.port is not a known key."),
        (
            {"kind": "redis", "sentinel": {"master": "jobs"}},
            'broker.sentinel.hosts is missing. List the sentinels as in ["sentinel-0:26379"], or',
        ),
        *[
            (
                {"kind": "redis", "sentinel": {"master": "jobs", "hosts": [host]}},
                'sentinel.hosts cannot be read. List the sentinels as in ["sentinel-0:26379"].',
            )
            for host in ("", 7, "a:b", "u@s-0", "s-0/1", "s-0;s-1", "fd00::1", "redis://s-0")
        ],
        ({"kind": "sqs"}, "broker.region is missing. Set it to a string."),
        ({**AWS, "host": "sqs"}, "broker.host is not a known key."),
        ({**AWS, "endpoint": "sqs:4566"}, "endpoint must be a URL that begins with http:// or"),
        ({**AWS, "visibilityTimeoutSeconds": 43_201}, "must be from 1 to 43200, not 43201."),
        ({**AWS, "visibilityTimeoutSeconds": 0}, "must be from 1 to 43200, not 0."),
        ({**AWS, "queueUrls": []}, "broker.queueUrls must be an object, not a list."),
        (
            {**AWS, "queueUrls": urls("default")},
            "broker.queueUrls.default-dead is missing. Where one queue has a URL, every queue",
        ),
        (
            {**AWS, "queueUrls": urls("default", "default-dead", "defualt")},
            "broker.queueUrls.defualt names no queue. Did you mean default?",
        ),
        (
            {**AWS, "queueUrls": {**urls("default"), "default-dead": 7}},
            "broker.queueUrls.default-dead must be a URL that begins with http:// or https://.",
        ),
        (
            {**AWS, "queueUrls": {**urls("default"), "default-dead": URL + "dead.fifo"}},
            "queueUrls.default-dead and its URL must both end in .fifo, or neither.",
        ),
        (
            {**AWS, "queueUrls": urls("default", "default-dead"), "queuePrefix": "shop-"},
            "broker.queuePrefix has no effect on queueUrls. Set one of the two.",
        ),
    ],
)
def test_a_wrong_broker_is_refused_with_its_path_and_the_mend(
    broker: dict[str, Any], message: str
) -> None:
    assert message in refusal(broker)


@pytest.mark.parametrize(("prefix", "fits"), [("shop-", 70), ("", 75)])
def test_a_name_that_is_too_long_for_sqs_is_refused_before_aws_does(prefix: str, fits: int) -> None:
    broker = {**AWS, "queuePrefix": prefix}
    assert configured(broker, NOBODY, queues=("default", "q" * fits))["task_queues"]
    with pytest.raises(SettingsError, match=r"queues\.q+ is too long for SQS, which takes 80"):
        configured(broker, NOBODY, queues=("default", "q" * (fits + 1)))


def test_a_queue_that_sqs_would_call_otherwise_has_no_url() -> None:
    broker = {**AWS, "queueUrls": urls("email.high", "email.high-dead")}
    message = refusal(broker, NOBODY, queues=("email.high",))
    assert "broker.queueUrls.email.high is not a name that SQS knows: letters" in message


@pytest.mark.parametrize(
    ("broker", "login", "message"),
    [
        (redis(), BROKER(url="amqp://u:hidden@mq"), "begins with redis:// or rediss:// or sent"),
        (AWS, BROKER(url="sqs://u:hidden@"), "broker of kind sqs takes no URL as a secret."),
        (AWS, BROKER(username="key"), "The secret broker/password is not mounted."),
        (AWS, BROKER(password="hidden"), "The secret broker/username is not mounted."),
        (redis(), NOBODY, "The secret broker/password is not mounted."),
        (
            {"kind": "redis"},
            BROKER(url="sentinel://:hidden@s-0"),
            "broker.sentinel is missing. A sentinel:// URL needs its master.",
        ),
    ],
)
def test_a_wrong_secret_is_refused_without_being_shown(
    broker: dict[str, Any], login: Credentials, message: str
) -> None:
    said = refusal(broker, login)
    assert message in said
    assert "hidden" not in said


def test_options_of_the_transport_that_are_no_object_are_refused() -> None:
    message = refusal(redis(), config={"broker_transport_options": 7})
    assert "config.broker_transport_options must be an object, not a whole number." in message


def test_the_password_of_the_sentinels_is_a_secret_of_its_own(mounted: Mounted) -> None:
    mounted.secret("broker/sentinel-password", "s\n")
    assert credentials.read(mounted.path).broker.sentinel_password == "s"
    assert "sentinel_password" not in repr(credentials.read(mounted.path))


# Results


def results(login: Credentials = RESULTS, **keys: Any) -> dict[str, Any]:  # noqa: ANN401
    document = {
        "broker": redis(),
        "resultBackend": {"kind": "redis", "host": "results", **keys},
        "defaultQueue": "default",
        "queues": {"default": {}},
    }
    return celery_configuration(parse(document), Secrets(LOGIN, login))


def test_results_over_tls_are_verified_by_celery_and_redbeat() -> None:
    result = results(Credentials("results", password="r", ca_file=CA), tls=True)
    assert result["result_backend"] == result["redbeat_redis_url"] == "rediss://:r@results:6379/0"
    verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(CA)}
    assert result["redis_backend_use_ssl"] == result["redbeat_redis_use_ssl"] == verified
    assert "redis_backend_use_ssl" not in results()


def test_a_mounted_url_of_results_that_asks_for_tls_is_verified_too() -> None:
    result = results(Credentials("results", url="rediss://:p@results/0"))
    assert result["redis_backend_use_ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def test_a_mounted_url_of_results_cannot_undo_their_tls() -> None:
    with pytest.raises(SettingsError, match=r"results/url must be a URL that begins with rediss:"):
        results(Credentials("results", url="redis://:p@results/0"), tls=True)
