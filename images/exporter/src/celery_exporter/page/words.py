"""Numbers, durations and moments as people read them."""

from datetime import UTC, datetime

#: The longest first.
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
#: Below it a tenth of a second says something.
_EXACT_BELOW_SECONDS = 9.95


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,.0f}"


def duration(seconds: float) -> str:
    """At most two units, as in `4.2 s`, `3 min 20 s` and `2 d 4 h`."""
    seconds = max(float(seconds), 0.0)
    if seconds < _EXACT_BELOW_SECONDS and not seconds.is_integer():
        return f"{seconds:.1f} s"
    return " ".join(_parts(seconds)[:2]) or "0 s"


def ago(moment: float, *, now: float) -> str:
    """How long ago, by the largest unit alone: what changes with every look is not calm."""
    parts = _parts(now - moment)
    return f"{parts[0]} ago" if parts else "now"


def clock(moment: float) -> str:
    """A moment in words; UTC, because those who look at it are not all in one place."""
    return f"{_utc(moment):%Y-%m-%d %H:%M:%S} UTC"


def machine(moment: float) -> str:
    """A moment as HTML's `datetime` attribute has it."""
    return f"{_utc(moment):%Y-%m-%dT%H:%M:%SZ}"


def _parts(seconds: float) -> list[str]:
    """The largest unit that is not zero, and the one below it where it is not zero."""
    rest = max(round(seconds), 0)
    found: list[str] = []
    for name, size in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            found.append(f"{number} {name}")
        elif found:
            break
    return found


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
