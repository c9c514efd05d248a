"""What can go wrong, as a caller would sort it.

CeleryRuntimeError
├── SettingsError            the settings or secrets cannot be used
├── AppNotFoundError         CELERY_APP does not lead to a Celery application
├── PortTakenError           the probes' port cannot be listened on
├── LockNotHeldError         beat would have to send without holding the schedule's lock
├── TaskDefinitionError      a decorator of a task was given what cannot work
├── DuplicateInFlightError   another run of the same work has not ended yet
├── ResultNotStorableError   the work is done, but what it returned is not JSON
└── StoreAwayError           Redis does not answer, or takes no writes
"""


class CeleryRuntimeError(Exception):
    """The root of every error of this package; its message says what to change."""


class SettingsError(CeleryRuntimeError):
    """The settings or secrets cannot be used."""


class AppNotFoundError(CeleryRuntimeError):
    """CELERY_APP does not lead to a Celery application."""


class PortTakenError(CeleryRuntimeError):
    """The probes' port cannot be listened on."""


class LockNotHeldError(CeleryRuntimeError):
    """Beat would have to send without holding the schedule's lock."""


class TaskDefinitionError(CeleryRuntimeError):
    """A decorator of a task was given what cannot work."""


class DuplicateInFlightError(CeleryRuntimeError):
    """Another run of the same work has not ended yet."""


class ResultNotStorableError(CeleryRuntimeError):
    """The work is done, but what it returned is not JSON."""


class StoreAwayError(CeleryRuntimeError):
    """Redis does not answer, or takes no writes."""
