"""The resultBackend section of settings.json: what becomes of it, and what is refused."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from celery_runtime import SettingsError
from celery_runtime.coordination import store
from celery_runtime.settings.configuration import celery_configuration
from celery_runtime.settings.credentials import Credentials, Secrets
from celery_runtime.settings.parsing import parse
from tests.runtime.settings.test_parsing import TEXT

CA = Path("mounted") / "results" / "ca.crt"
SENTINEL = {"master": "jobs", "hosts": ["s-0:26380", "s-1", "[fd00::1]:26379"]}


def configured(results: dict[str, Any], **mounted: Any) -> dict[str, Any]:  # noqa: ANN401
    document = {
        "broker": {"kind": "redis", "host": "store"},
        "resultBackend": {"kind": "redis", **results},
        "defaultQueue": "default",
        "queues": {"default": {}},
    }
    credentials = Credentials("results", **mounted)
    broker = Credentials("broker", password="b")
    return celery_configuration(parse(document), Secrets(broker, credentials))


@given(username=st.none() | TEXT, password=TEXT)
def test_any_credential_survives_the_url_of_results(username: str | None, password: str) -> None:
    found = configured({"host": "cache"}, username=username, password=password)
    parsed = parse_url(found["result_backend"])
    assert (parsed["userid"], parsed["password"]) == (username, password)
    assert found["redbeat_redis_url"] == found["result_backend"]


def test_a_user_that_is_no_secret_is_told_by_the_settings() -> None:
    found = configured({"host": "cache", "username": "celery"}, password="p")
    assert found["result_backend"] == "redis://celery:p@cache:6379/0"


def test_sentinels_are_told_to_celery_and_to_redbeat_in_their_own_words() -> None:
    found = configured(
        {"sentinel": SENTINEL, "database": 2}, password="p@:/", sentinel_password="s"
    )
    assert found["result_backend"] == (
        "sentinel://:p%40%3A%2F@s-0:26380/2;sentinel://:p%40%3A%2F@s-1/2;"
        "sentinel://:p%40%3A%2F@[fd00::1]:26379/2"
    )
    told = found["result_backend_transport_options"]
    assert (told["master_name"], told["sentinel_kwargs"]["password"]) == ("jobs", "s")
    options = found["redbeat_redis_options"]
    assert options["sentinels"] == [("s-0", 26380), ("s-1", 26379), ("fd00::1", 26379)]
    assert (options["service_name"], options["password"], options["db"]) == ("jobs", "p@:/", 2)
    assert options["sentinel_kwargs"] == told["sentinel_kwargs"]
    assert "redis_backend_use_ssl" not in found


def test_tls_is_for_the_sentinels_and_for_every_client_of_the_master() -> None:
    found = configured({"sentinel": SENTINEL, "tls": True}, password="p", ca_file=CA)
    verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(CA)}
    assert found["redis_backend_use_ssl"] == found["redbeat_redis_use_ssl"] == verified
    told = found["result_backend_transport_options"]["sentinel_kwargs"]
    assert {"ssl": True, **verified}.items() <= told.items()
    app = Celery(set_as_current=False)
    app.conf.update(found)
    pool = store.of(app).redis.connection_pool
    assert pool.connection_class.__name__ == "SentinelManagedSSLConnection"
    assert pool.connection_kwargs["ssl_ca_certs"] == str(CA)
    assert app.backend.connparams["ssl_ca_certs"] == str(CA)


@pytest.mark.parametrize(
    ("results", "mounted", "problem"),
    [
        ({}, {"password": "p"}, "resultBackend.host is missing. Set it"),
        ({"host": "cache"}, {}, "The secret results/password is not mounted. Mount it"),
        (
            {"host": "cache", "sentinel": SENTINEL},
            {"password": "p"},
            "resultBackend.host and sentinel exclude each other.",
        ),
        (
            {"sentinel": {"master": "jobs"}},
            {"password": "p"},
            "resultBackend.sentinel.hosts is missing. List the sentinels as in",
        ),
        (
            {"tls": True},
            {"url": "redis://:p@cache/0"},
            "results/url must be a URL that begins with rediss://",
        ),
    ],
)
def test_results_that_cannot_be_kept_are_refused(
    results: dict[str, Any], mounted: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        configured(results, **mounted)
    assert problem in str(refused.value)
