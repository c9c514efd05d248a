"""How long a worker may drain."""

import math

import pytest

from celery_runtime import SettingsError
from celery_runtime.worker.shutdown import DRAIN_VARIABLE, drain_seconds


@pytest.mark.parametrize(
    ("environment", "soft_shutdown_seconds", "drain"),
    [("", 0, math.inf), ("", 30, 30), ("75", 0, 75), ("75", 30, 75), ("0", 30, math.inf)],
)
def test_the_environment_wins_over_celerys_setting_and_nothing_means_for_ever(
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    soft_shutdown_seconds: float,
    drain: float,
) -> None:
    monkeypatch.setenv(DRAIN_VARIABLE, environment)
    assert drain_seconds(soft_shutdown_seconds) == drain


def test_what_is_no_number_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DRAIN_VARIABLE, "5m")
    with pytest.raises(SettingsError, match=r"a number of seconds, not '5m'\. Set it 15 below"):
        drain_seconds(0)
