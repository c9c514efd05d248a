"""What can go wrong, as a caller would sort it.

CeleryRuntimeError
├── SettingsError      the mounted settings or secrets cannot be used
├── AppNotFoundError   CELERY_APP does not lead to a Celery application
├── PortTakenError     the probes' port cannot be listened on
└── LockNotHeldError   beat would have to send without holding the schedule's lock
"""


class CeleryRuntimeError(Exception):
    """The root of every error of this package; its message says what to change."""


class SettingsError(CeleryRuntimeError):
    """The mounted settings or secrets cannot be used."""


class AppNotFoundError(CeleryRuntimeError):
    """CELERY_APP does not lead to a Celery application."""


class PortTakenError(CeleryRuntimeError):
    """The probes' port cannot be listened on."""


class LockNotHeldError(CeleryRuntimeError):
    """Beat would have to send without holding the schedule's lock."""
