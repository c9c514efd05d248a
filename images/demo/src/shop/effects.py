"""Recording an effect once, and counting the attempts to repeat it."""

from collections.abc import Mapping
from typing import TypeVar

from django.db.models import F

from shop.models import Effect

E = TypeVar("E", bound=Effect)


def record(model: type[E], key: Mapping[str, object], **values: object) -> tuple[E, bool]:
    """Return the effect stored under `key`, and whether this call brought it about.

    An effect that is there already stays as it is; only its `duplicates` grows by one.
    """
    effect, created = model.objects.get_or_create(**key, defaults=values)
    if not created:
        repeat(effect)
    return effect, created


def repeat(effect: Effect) -> None:
    """Count one more attempt at `effect`."""
    type(effect).objects.filter(pk=effect.pk).update(duplicates=F("duplicates") + 1)
