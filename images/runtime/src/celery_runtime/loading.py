"""From CELERY_APP to an app that is ready for pods."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from celery import Celery
from celery.app.utils import find_app
from celery.utils.imports import import_from_cwd

from celery_runtime import green, tls
from celery_runtime._configure import configure
from celery_runtime.deadletter.declaration import DeadLetters
from celery_runtime.errors import AppNotFoundError, CeleryRuntimeError
from celery_runtime.health.steps import ConsumerSigns, ProbeServer
from celery_runtime.logs import console
from celery_runtime.worker.shutdown import Drain
from celery_runtime.worker.tending import Tending

APP_VARIABLE = "CELERY_APP"
#: Commands that run in a pod and log; the others are for a terminal.
BEAT = "beat"
SERVICES = frozenset({"worker", BEAT})


def load(name: str) -> Celery:
    """The Celery application of this name, as in `shop.celery:app`.

    Raises:
        AppNotFoundError: it cannot be imported, or is no Celery application.

    """
    if not name:
        raise AppNotFoundError(f"{APP_VARIABLE} is not set. Set it as in shop.celery:app.")
    found = _find(name)
    if not isinstance(found, Celery):
        raise AppNotFoundError(
            f"{APP_VARIABLE}={name!r} is a {type(found).__name__}, not a Celery application. "
            "Name the variable that holds Celery(...), as in shop.celery:app."
        )
    return found


def prepare(app: Celery) -> Celery:
    """Apply the mounted settings and add what the probes and dead letters need."""
    configure(app)
    app.steps["worker"].update({ProbeServer, Drain})
    app.steps["consumer"].update({ConsumerSigns, DeadLetters, Tending})
    if BEAT in sys.argv:
        # Beat has no signal before its banner: the app is given a program of its own.
        app.Beat = app.subclass_with_self("celery_runtime.beat.program:Program", name="Beat")
    # A queue can have that name, too, where the image does not hold the package.
    if "flower" in sys.argv and find_spec("flower"):
        import_module("celery_runtime.flower").wait_steadily()
    return app


def start() -> Celery:
    """The app of this process, or the end of it: one line of JSON that says why, exit code 1."""
    if SERVICES & set(sys.argv):
        console.install()
        console.redirect_output()
        green.finish_patching()
        tls.keep_connections_apart()
    try:
        return prepare(load(os.environ.get(APP_VARIABLE, "")))
    except CeleryRuntimeError as error:
        console.exit_at_start(error)


def _find(name: str) -> object:
    module, colon, attribute = name.partition(":")
    try:
        # First by itself: where the attribute is missing, find_app looks for a module "shop:app".
        imported = import_from_cwd(module) if colon else None
        if imported is None or hasattr(imported, attribute):
            return find_app(name)
    except ModuleNotFoundError as error:
        raise AppNotFoundError(_missing(error.name or "", module, name)) from error
    except Exception as error:
        raise AppNotFoundError(
            f"{APP_VARIABLE}={name!r}: importing {module} raised {type(error).__name__}: {error}. "
            "The field exception has the traceback."
        ) from error
    raise AppNotFoundError(
        f"{APP_VARIABLE}={name!r}: {module} has no {attribute!r}. "
        "Name the variable that holds Celery(...), as in shop.celery:app."
    )


def _missing(missing: str, module: str, name: str) -> str:
    mend = (
        f"Copy the code to {Path.cwd()}, or correct {APP_VARIABLE}."
        if module == missing or module.startswith(f"{missing}.")
        else "Install the package that provides it in the image."
    )
    return f"{APP_VARIABLE}={name!r} cannot be imported: there is no module {missing!r}. {mend}"
