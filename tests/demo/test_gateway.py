"""The payment gateway keeps its promises over HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

CHARGE = {"amount": "12.50", "card_token": "tok", "run": "run", "task_id": "t"}


def ask(method: str, url: str, body: object = None, key: str = "") -> tuple[int, dict[str, Any]]:
    """Send a request and return the status and the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Idempotency-Key": key}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_same_key_gets_the_same_charge(gateway: str) -> None:
    first = ask("POST", f"{gateway}/charges", CHARGE, "17")
    second = ask("POST", f"{gateway}/charges", CHARGE, "17")
    other = ask("POST", f"{gateway}/charges", CHARGE, "18")
    assert first[1]["reference"] == second[1]["reference"] != other[1]["reference"]
    assert (first[1]["created"], second[1]["created"]) == (True, False)


def test_a_key_of_another_amount_is_a_conflict(gateway: str) -> None:
    ask("POST", f"{gateway}/charges", CHARGE, "17")
    status, _ = ask("POST", f"{gateway}/charges", {**CHARGE, "amount": "1.00"}, "17")
    assert status == 409


def test_exactly_the_ordered_number_of_charges_is_refused(gateway: str) -> None:
    ask("PUT", f"{gateway}/failures", {"count": 2})
    statuses = [ask("POST", f"{gateway}/charges", CHARGE, str(key))[0] for key in range(4)]
    assert statuses == [503, 503, 200, 200]


@pytest.mark.parametrize(
    ("method", "path", "body", "key", "mend"),
    [
        ("POST", "/charges", CHARGE, "", "Idempotency-Key"),
        ("POST", "/charges", {"amount": "much"}, "1", "amount must be a number"),
        ("POST", "/charges", {"amount": "NaN"}, "1", "amount must be"),
        ("POST", "/charges", {"amount": "0"}, "1", "amount must be"),
        ("POST", "/charges", [1], "1", "must be a JSON object"),
        ("PUT", "/failures", {"count": -1}, "", "count must be a whole number"),
        ("PUT", "/failures", {"count": True}, "", "count must be a whole number"),
        ("GET", "/charges", None, "", "since must be an ISO 8601 time"),
        ("GET", "/charges?since=2026-01-01T00:00:00", None, "", "with its offset"),
    ],
)
def test_a_bad_request_is_refused_with_the_mend(
    gateway: str, method: str, path: str, body: object, key: str, mend: str
) -> None:
    status, answer = ask(method, gateway + path, body, key)
    assert status == 400
    assert mend in answer["error"]


def test_a_user_always_has_the_same_figures(gateway: str) -> None:
    first, second, other = (ask("GET", f"{gateway}/users/{n}/metrics")[1] for n in (1, 1, 2))
    assert first == second != other
