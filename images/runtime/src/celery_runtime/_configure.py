"""`configure(app)`: the mounted settings, applied to a Celery application."""

from typing import Any
from weakref import WeakSet

from celery import Celery
from celery.app.utils import Settings

from celery_runtime import following, retries, sending, sent_at, transports, waiting
from celery_runtime.settings.configuration import directory, load

_configured: WeakSet[Celery] = WeakSet()


def configure(app: Celery) -> None:
    """Apply the mounted settings to the app; do nothing when none are mounted.

    The mounted settings win over the app's own configuration, before or after which this may be
    called. A second call does nothing. No thread is started and nothing is connected to.

    Raises:
        SettingsError: the settings or secrets are mounted but cannot be used.

    """
    if app in _configured:
        return
    configuration = load(directory())
    if configuration is None:
        return
    _configured.add(app)
    sending.install(app)
    retries.install()
    following.install()
    sent_at.install()
    transports.install()
    waiting.install()

    # Celery reads its configuration when it is first asked for, and again after
    # config_from_object: this signal follows each reading.
    @app.on_after_configure.connect(weak=False)  # type: ignore[untyped-decorator]
    def apply(source: Settings, **_: object) -> None:
        _update(source, configuration)

    if app.configured:
        _update(app.conf, configuration)


def _update(conf: Settings, configuration: dict[str, Any]) -> None:
    # Entries of the app's own schedule stay, unless the mounted ones have their name.
    schedule = {**(conf.get("beat_schedule") or {}), **configuration["beat_schedule"]}
    conf.update({**configuration, "beat_schedule": schedule})
