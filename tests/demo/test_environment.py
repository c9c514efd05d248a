"""The shop refuses a configuration that cannot work, and says how to mend it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from shop.environment import database_from_url, whole_number


def test_a_database_url_is_taken_apart_and_decoded() -> None:
    database = database_from_url("postgresql://a%40b:p%2Fw@db:6543/shop%20one")
    parts = {key: database[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")}
    assert parts == {
        "USER": "a@b",
        "PASSWORD": "p/w",
        "HOST": "db",
        "PORT": 6543,
        "NAME": "shop one",
    }


def test_a_database_url_without_a_port_means_postgresqls() -> None:
    assert database_from_url("postgres://u:p@db/shop")["PORT"] == 5432


@pytest.mark.parametrize(
    "url", ["", "mysql://u:pw@db/shop", "postgresql://u:pw@/shop", "postgresql://u:pw@db/"]
)
def test_a_bad_database_url_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="postgresql://USER:PASSWORD@HOST:PORT/NAME"):
        database_from_url(url)


@pytest.mark.parametrize("url", ["mysql://u:hush@db/shop", "postgresql://u:hush@db:99999/shop"])
def test_a_refusal_does_not_show_the_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        database_from_url(url)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "0", "-1", "5s", "1.5"])
def test_a_number_that_is_none_is_refused_by_its_key(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGE_RETRY_DELAY_SECONDS", text)
    with pytest.raises(ImproperlyConfigured, match="CHARGE_RETRY_DELAY_SECONDS must be a whole"):
        whole_number("CHARGE_RETRY_DELAY_SECONDS", default=60)


def test_a_number_that_is_not_given_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARGE_RETRY_DELAY_SECONDS", raising=False)
    assert whole_number("CHARGE_RETRY_DELAY_SECONDS", default=60) == 60
