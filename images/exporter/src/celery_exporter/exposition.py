"""Prometheus' text format."""

from collections.abc import Iterable, Mapping

from celery_exporter.labels import labels

Value = int | float | None
Sample = tuple[str, Value]


def by(
    label: str, name: str, meaning: str, values: Mapping[str, Value], *, kind: str = "gauge"
) -> str:
    """A metric with one label."""
    return family(
        name, kind, meaning, ((labels(**{label: key}), value) for key, value in values.items())
    )


def family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    """A metric; a sample whose value is not known is not there."""
    lines = [f"{name}{pairs} {text(value)}\n" for pairs, value in samples if value is not None]
    return head(name, kind, meaning) + "".join(lines)


def head(name: str, kind: str, meaning: str) -> str:
    """What comes before a metric's samples."""
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"


def text(value: float) -> str:
    """A value."""
    return str(int(value)) if isinstance(value, bool) else repr(value)
