"""From CELERY_APP to the app, and what is said when it does not lead there."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import celery._state
import pytest
from celery import Celery

from celery_runtime import AppNotFoundError, loading
from celery_runtime.deadletter.declaration import DeadLetters
from celery_runtime.health.steps import ConsumerSigns, ProbeServer
from celery_runtime.worker.shutdown import Drain


@pytest.fixture(autouse=True)
def _apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(Path(__file__).parent / "apps")
    # Celery gives each later app of the process the tasks of all that were imported.
    monkeypatch.setattr(
        celery._state, "_on_app_finalizers", celery._state._on_app_finalizers.copy()
    )
    yield
    for name in ("tinyapp", "needy", "raising"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["tinyapp:app", "tinyapp.app", "tinyapp"])
def test_the_app_is_found_as_celery_itself_would(name: str) -> None:
    assert loading.load(name).main == "tiny"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "absent.celery:app",
            r"CELERY_APP='absent\.celery:app' cannot be imported: there is no module 'absent'\. "
            r"Copy the code to .*, or correct CELERY_APP\.",
        ),
        (
            "needy",
            r"CELERY_APP='needy' cannot be imported: there is no module "
            r"'a_package_nobody_installed'\. Install the package that provides it in the image\.",
        ),
        ("tinyapp:ap", r"CELERY_APP='tinyapp:ap': tinyapp has no 'ap'\."),
        ("tinyapp:logger", r"CELERY_APP='tinyapp:logger' is a Logger, not a Celery application\."),
        ("raising:app", r"importing raising raised KeyError: 'TINY_DATABASE_URL'\."),
        ("", r"CELERY_APP is not set\. Set it as in shop\.celery:app\."),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_mend(name: str, message: str) -> None:
    with pytest.raises(AppNotFoundError) as caught:
        loading.load(name)
    assert re.search(message, str(caught.value))


def test_the_app_gets_probes_and_dead_letters_and_an_end() -> None:
    app = loading.prepare(Celery(set_as_current=False))
    assert {ProbeServer, Drain} <= app.steps["worker"]
    assert {ConsumerSigns, DeadLetters} <= app.steps["consumer"]
