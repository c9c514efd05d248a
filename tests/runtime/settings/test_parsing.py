"""settings.json and the secrets: what becomes Celery's configuration, and what is refused."""

import os
from functools import partial
from pathlib import Path
from socket import TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_USER_TIMEOUT
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.connection import Connection
from redis.connection import parse_url

from celery_runtime import SettingsError
from celery_runtime.settings import credentials
from celery_runtime.settings.configuration import celery_configuration, directory, load
from celery_runtime.settings.credentials import Credentials, Secrets
from celery_runtime.settings.parsing import parse

if TYPE_CHECKING:
    from tests.runtime.conftest import Mounted

BROKER = partial(Credentials, "broker")
RESULTS = partial(Credentials, "results")
LOGIN = Secrets(BROKER("celery", "s3cret"), RESULTS(None, "s3cret"))
# Surrogates cannot be encoded, so they cannot be in a file either.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1)


def configuration(document: dict[str, Any], secrets: Secrets = LOGIN) -> dict[str, Any]:
    return celery_configuration(parse(document), secrets)


def refusal(document: dict[str, Any], secrets: Secrets = LOGIN) -> str:
    with pytest.raises(SettingsError) as caught:
        configuration(document, secrets)
    return str(caught.value)


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    *folders, key = path.split("/")
    place = document
    for folder in folders:
        place = place.setdefault(folder, {})
    place[key] = value
    return document


def test_the_contract_of_the_chart_is_understood_whole(document: dict[str, Any]) -> None:
    changed(document, "queues/high_priority", {"deliveryLimit": 7})
    changed(
        document,
        "beat/schedule",
        {
            "reconcile": {"task": "shop.tasks.reconcile", "every": 10, "queue": "default"},
            "nightly": {"task": "shop.t", "cron": "0 3 * * *", "args": [1], "kwargs": {"a": 2}},
        },
    )
    changed(document, "config", {"task_routes": {"shop.tasks.send_email": {"queue": "email"}}})
    result = configuration(document)
    assert result["broker_url"] == "amqp://celery:s3cret@127.0.0.1:1/%2F"
    assert result["result_backend"] == "redis://:s3cret@127.0.0.1:1/0"
    assert result["redbeat_redis_url"] == result["result_backend"]
    assert [queue.name for queue in result["task_queues"]] == ["default", "email", "high_priority"]
    assert result["task_default_queue"] == "default"
    schedule = result["beat_schedule"]
    assert schedule["reconcile"]["options"] == {"queue": "default"}
    assert schedule["reconcile"]["schedule"].run_every.total_seconds() == 10
    assert schedule["nightly"]["schedule"].hour == {3}
    assert schedule["nightly"]["schedule"].minute == {0}
    assert schedule["nightly"]["args"] == [1]
    assert schedule["nightly"]["kwargs"] == {"a": 2}


def test_what_is_shipped_is_for_pods_that_come_and_go(document: dict[str, Any]) -> None:
    expected = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_default_queue_type": "quorum",
        "task_default_exchange_type": "topic",
        "broker_transport_options": {
            "confirm_publish": True,
            "socket_settings": {TCP_USER_TIMEOUT: 10000, TCP_KEEPIDLE: 5, TCP_KEEPINTVL: 2},
        },
        "worker_send_task_events": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "task_track_started": True,
        "result_expires": 86400,
        "accept_content": ["json"],
        "redbeat_lock_timeout": 30,
        "beat_max_loop_interval": 5,
        "result_backend_always_retry": True,
    }
    assert expected.items() <= configuration(document).items()


def test_beat_s_keys_in_redis_begin_as_the_chart_says(document: dict[str, Any]) -> None:
    assert "redbeat_key_prefix" not in configuration(document)
    changed(document, "beat/keyPrefix", "redbeat:ns/jobs:")
    assert configuration(document)["redbeat_key_prefix"] == "redbeat:ns/jobs:"


def test_config_has_the_last_word(document: dict[str, Any]) -> None:
    changed(document, "beat/keyPrefix", "redbeat:ns/jobs:")
    config = {
        "task_acks_late": False,
        "redbeat_key_prefix": "shop:",
        # Documented, though not among Celery's defaults.
        "result_backend_thread_safe": False,
    }
    changed(document, "config", config)
    assert config.items() <= configuration(document).items()


def test_the_app_gets_its_own_copy_of_the_document_it_was_given(document: dict[str, Any]) -> None:
    before = repr(document)
    configuration(document)
    assert repr(document) == before


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("brocker", {}, "settings.json: brocker is not a known key. Did you mean broker?"),
        ("broker", [], "settings.json: broker must be an object, not a list."),
        ("broker/kind", "kafka", "broker.kind must be one of rabbitmq, redis, sqs, not 'kafka'."),
        ("broker/port", "5672", "broker.port must be a whole number, not a string."),
        ("broker/port", True, "broker.port must be a whole number, not true."),
        ("broker/port", 0, "broker.port must be from 1 to 65535, not 0."),
        ("broker/hots", "x", "broker.hots is not a known key. Did you mean host?"),
        ("broker/host", "", "broker.host is missing. Set it, or mount a whole URL as a secret."),
        ("resultBackend/database", -1, "resultBackend.database must be from 0 to"),
        ("resultBackend/kind", None, "resultBackend.kind must be a string, not null."),
        ("queues", {}, "queues is empty. Declare at least one queue"),
        ("queues/email", {"deliverylimit": 3}, "queues.email.deliverylimit is not a known key."),
        ("queues/email", {"deliveryLimit": 0}, "queues.email.deliveryLimit must be from 1 to"),
        ("queues/x.dead", {}, "queues.x.dead is a name that dead lettering uses."),
        ("defaultQueue", "defualt", "defaultQueue names the queue 'defualt', which is not"),
        ("beat/keyPrefix", 5, "beat.keyPrefix must be a string, not a whole number."),
        ("beat/schedule/a", {"every": 1}, "beat.schedule.a.task is missing."),
        ("beat/schedule/a", {"task": "t"}, "beat.schedule.a.every or cron must be set"),
        (
            "beat/schedule/a",
            {"task": "t", "every": 1, "cron": "* * * * *"},
            "beat.schedule.a.every or cron must be set, one of the two.",
        ),
        ("beat/schedule/a", {"task": "t", "every": 0.5}, "a.every must be at least 1 second"),
        ("beat/schedule/a", {"task": "t", "cron": "0 3 * *"}, "a.cron is '0 3 * *', not the five"),
        ("beat/schedule/a", {"task": "t", "cron": "0 25 * * *"}, "a.cron is '0 25 * * *', not the"),
        (
            "beat/schedule/a",
            {"task": "t", "every": 1, "queue": "mail"},
            "beat.schedule.a.queue names the queue 'mail', which is not declared. Add it to queues,"
            " or correct it. Did you mean email?",
        ),
        ("beat/schedule/a", {"task": "t", "every": 1, "arg": []}, "beat.schedule.a.arg is not a"),
        ("config/task_ack_late", True, "config.task_ack_late is not a Celery setting"),
        ("config/TASK_ACKS_LATE", True, "lower-case name. Did you mean task_acks_late?"),
        ("config/task_routes", {"t": {"queue": "mail"}}, "config.task_routes.t names the queue"),
        ("config/task_routes", {"t": "mail"}, "config.task_routes.t names the queue 'mail'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_and_the_mend(
    document: dict[str, Any],
    path: str,
    value: Any,  # noqa: ANN401
    message: str,
) -> None:
    assert message in refusal(changed(document, path, value))


@pytest.mark.parametrize("key", ["broker", "resultBackend", "defaultQueue", "queues"])
def test_a_key_that_must_be_there_is_named_when_it_is_not(
    document: dict[str, Any], key: str
) -> None:
    del document[key]
    assert key in refusal(document)


@given(username=TEXT, password=TEXT, vhost=TEXT)
def test_any_credential_survives_the_broker_url(username: str, password: str, vhost: str) -> None:
    document = {
        "broker": {"kind": "rabbitmq", "host": "mq", "vhost": vhost},
        "resultBackend": {"kind": "redis", "host": "store"},
        "defaultQueue": "default",
        "queues": {"default": {}},
    }
    secrets = Secrets(BROKER(username, password), RESULTS(username, password))
    result = configuration(document, secrets)
    connection = Connection(result["broker_url"])
    assert (connection.userid, connection.password) == (username, password)
    assert connection.virtual_host == vhost
    parsed = parse_url(result["result_backend"])
    assert (parsed["username"], parsed["password"]) == (username, password)


def test_an_ipv6_address_is_put_in_brackets(document: dict[str, Any]) -> None:
    changed(document, "broker/host", "fd00::1")
    assert configuration(document)["broker_url"] == "amqp://celery:s3cret@[fd00::1]:1/%2F"


def test_a_mounted_url_replaces_host_and_credentials(document: dict[str, Any]) -> None:
    del document["broker"]["host"]
    urls = Secrets(BROKER(url="amqps://u:p@mq/shop"), RESULTS(url="redis://r/3"))
    result = configuration(document, urls)
    assert result["broker_url"] == "amqps://u:p@mq/shop"
    assert result["result_backend"] == "redis://r/3"


def test_a_url_of_another_kind_is_refused_without_showing_it(document: dict[str, Any]) -> None:
    urls = Secrets(BROKER(url="redis://:hidden@mq"), LOGIN.results)
    message = refusal(document, urls)
    assert "The secret broker/url must be a URL that begins with amqp://" in message
    assert "hidden" not in message


@pytest.mark.parametrize(
    ("secrets", "name"),
    [
        (Secrets(BROKER(None, "p"), LOGIN.results), "broker/username"),
        (Secrets(BROKER("u", None), LOGIN.results), "broker/password"),
        (Secrets(LOGIN.broker, RESULTS()), "results/password"),
    ],
)
def test_a_secret_that_is_not_mounted_is_never_an_empty_one(
    document: dict[str, Any], secrets: Secrets, name: str
) -> None:
    assert f"The secret {name} is not mounted." in refusal(document, secrets)


def test_secrets_do_not_show_in_the_representation_of_what_holds_them() -> None:
    assert "s3cret" not in repr(LOGIN)


def test_a_newline_at_the_end_of_a_secret_is_not_part_of_it(mounted: "Mounted") -> None:
    mounted.secret("broker/password", " s3cret \n")
    assert credentials.read(mounted.path).broker.password == " s3cret "


def test_an_empty_secret_is_refused(mounted: "Mounted") -> None:
    mounted.secret("broker/password", "\n")
    with pytest.raises(SettingsError, match=r"broker/password is empty"):
        load(mounted.path)


def test_a_secret_that_cannot_be_read_is_refused(mounted: "Mounted") -> None:
    file = mounted.path / "broker" / "password"
    file.unlink()
    file.mkdir()
    with pytest.raises(SettingsError, match=r"broker/password cannot be read: .*fsGroup"):
        load(mounted.path)


def test_a_secret_that_is_not_text_is_refused(mounted: "Mounted") -> None:
    (mounted.path / "broker" / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"broker/password cannot be read"):
        load(mounted.path)


def test_settings_that_are_not_json_are_refused(mounted: "Mounted") -> None:
    (mounted.path / "settings.json").write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json is not JSON"):
        load(mounted.path)


def test_where_nothing_is_mounted_there_is_no_configuration(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_the_environment_moves_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERY_RUNTIME_DIR")
    assert directory() == Path("/etc/celery-runtime")
    monkeypatch.setenv("CELERY_RUNTIME_DIR", os.sep + "elsewhere")
    assert directory() == Path("/elsewhere")
