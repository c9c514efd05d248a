"""No secret in a log line."""

import json
import logging
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_runtime.logs import console
from celery_runtime.logs.masking import Masker, passwords
from celery_runtime.settings.credentials import Credentials, Secrets

SPECIAL = "p@:/?#%+ é\"'\\w"
NOTHING = Credentials("broker")
#: What a line may cost more, on a machine with other work; measured on an idle one: under 3 µs.
MOST_MICROSECONDS = 20


def masked(message: str, *secrets: str) -> str:
    line = Masker(secrets).line(json.dumps({"message": message}))
    return str(json.loads(line)["message"])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("amqp://user:pw@host:5672//", "amqp://user:**@host:5672//"),
        ("redis://:pw@host", "redis://:**@host"),
        ("sqs://key:secret@", "sqs://key:**@"),
        ("'https://u:p@h/x'", "'https://u:**@h/x'"),
        ("postgres://u:p%40ss@h/db", "postgres://u:**@h/db"),
        ("amqp://u:p@ss:w@host/", "amqp://u:**@host/"),
        ("amqp://u:a/b?c#d@host/", "amqp://u:**@host/"),
        (
            "sentinel://:a@h1:26379;sentinel://:b@h2:26379",
            "sentinel://:**@h1:26379;sentinel://:**@h2:26379",
        ),
        ("from redis://:a@h to amqp://b:c@d", "from redis://:**@h to amqp://b:**@d"),
        ("two\nredis://:a@h\nlines", "two\nredis://:**@h\nlines"),
    ],
)
def test_the_password_of_every_url_is_masked(said: str, shown: str) -> None:
    assert masked(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "http://host:8080/users/me@example.com",
        "http://[::1]:8080/me@example.com",
        "redis://host/0 mail@example.com",
        "12:30 mail@example.com",
        "see https://example.com",
    ],
)
def test_what_holds_no_password_is_left_as_it_is(said: str) -> None:
    assert masked(said) == said


@pytest.mark.parametrize(
    "spelling",
    [
        SPECIAL,
        quote(SPECIAL),
        quote(SPECIAL, safe=""),
        quote_plus(SPECIAL),
        repr(SPECIAL)[1:-1],
        json.dumps(SPECIAL)[1:-1],
    ],
)
def test_a_mounted_password_is_masked_in_every_spelling(spelling: str) -> None:
    assert masked(f"<{spelling}>", SPECIAL) == "<**>"


def test_a_password_is_masked_in_extras_keys_and_exceptions_but_not_in_code_names() -> None:
    formatter = console.Formatter()
    formatter.masker = Masker(["celery", "12345678"])
    error = ValueError("celery")
    record = logging.LogRecord("celery.app", 20, "", 0, "x", (), (ValueError, error, None))
    record.__dict__.update(order={"celery": ["a celery b", 12345678, 5.5]})
    line = json.loads(formatter.format(record))
    assert line["logger"] == "celery.app"
    assert line["order"] == {"**": ["a ** b", "**", 5.5]}
    assert line["exception"].endswith("ValueError: **")


def test_the_longer_of_two_passwords_is_masked_whole() -> None:
    assert masked("abcdef", "abc", "abcdef") == "**"


def test_the_passwords_of_mounted_urls_are_known_too() -> None:
    urls = f"sentinel://:{quote(SPECIAL, safe='')}@h1;sentinel://h2?sentinel_password=p2"
    secrets = Secrets(
        Credentials("broker", username="shown", password="p1"), Credentials("results", url=urls)
    )
    assert passwords(secrets) == {"p1", "p2", SPECIAL}
    assert passwords(Secrets(NOTHING, Credentials("results", url="redis://h/0"))) == set()


def test_the_password_of_sentinels_is_known_too() -> None:
    secrets = Secrets(NOTHING, Credentials("results", password="p1", sentinel_password="p2"))
    assert passwords(secrets) == {"p1", "p2"}


@given(secret=st.text(min_size=1), before=st.text(), after=st.text(), number=st.integers())
def test_a_masked_line_is_json_without_the_password(
    secret: str, before: str, after: str, number: int
) -> None:
    fields = {"message": before + secret + after, "data": {"number": number}}
    found = json.loads(Masker([secret]).line(json.dumps(fields)))
    assert not any(secret in part for part in found["message"].split("**"))
    assert found.keys() == fields.keys()


def test_masking_costs_a_normal_line_next_to_nothing() -> None:
    masker = Masker(["a-password-of-the-broker", "a-password-of-redis", SPECIAL])
    line = json.dumps({"message": "Task shop.tasks.send_email[1-2] received", "data": "x" * 400})
    rounds = 2000
    costs = []
    for _ in range(5):
        before = time.process_time()
        for _ in range(rounds):
            masker.line(line)
        costs.append((time.process_time() - before) / rounds * 1e6)
    assert min(costs) < MOST_MICROSECONDS
