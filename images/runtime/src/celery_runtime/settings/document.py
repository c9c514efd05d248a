"""Strict reading of a JSON object: what is not known is refused, by its path."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from celery_runtime.errors import SettingsError

T = TypeVar("T", str, int, float, list[Any], dict[str, Any])

SETTINGS_FILE = "settings.json"

_KINDS: Mapping[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def refuse(path: str, problem: str, *, file: str = SETTINGS_FILE) -> SettingsError:
    """The error to raise about the value at this path of a file."""
    return SettingsError(f"{file}: {path} {problem}")


def suggest(name: str, known: Sequence[str]) -> str:
    """'Did you mean …?' when a known name is near, else the known names."""
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(known))}."


class Table:
    """A JSON object at a path; its keys are the known ones (all, when none are given)."""

    def __init__(
        self,
        value: object,
        path: str = "",
        *,
        known: Sequence[str] = (),
        file: str = SETTINGS_FILE,
    ) -> None:
        if not isinstance(value, dict):
            problem = f"must be an object, not {_name(value)}."
            raise refuse(path or "the document", problem, file=file)
        self._values = value
        self._path = path
        self._file = file
        for key in value if known else ():
            if key not in known:
                raise self.refuse(key, f"is not a known key. {suggest(key, known)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def path(self, key: str) -> str:
        """Where a key of this object stands in the document."""
        return f"{self._path}.{key}" if self._path else key

    def refuse(self, key: str, problem: str) -> SettingsError:
        """The error to raise about the value of a key."""
        return refuse(self.path(key), problem, file=self._file)

    def required(self, key: str, kind: type[T]) -> T:
        """The value of a key that must be there."""
        if key not in self._values:
            raise self.refuse(key, f"is missing. Set it to {_KINDS[kind]}.")
        return self._typed(key, kind)

    def optional(self, key: str, kind: type[T], default: T) -> T:
        """The value of a key, or the default where the key is absent."""
        return self._typed(key, kind) if key in self._values else default

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds, or the default where the key is absent."""
        value = self.optional(key, int, default)
        if not least <= value <= most:
            raise self.refuse(key, f"must be from {least} to {most}, not {value}.")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where the key is absent."""
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise self.refuse(key, f"must be true or false, not {_name(value)}.")
        return value

    def choice(self, key: str, *choices: str) -> str:
        """A string that must be one of the choices."""
        value = self.required(key, str)
        if value not in choices:
            raise self.refuse(key, f"must be one of {', '.join(choices)}, not {value!r}.")
        return value

    def table(self, key: str, *, known: Sequence[str] = ()) -> "Table":
        """The object below a key; empty where the key is absent."""
        return Table(self._values.get(key, {}), self.path(key), known=known, file=self._file)

    def _typed(self, key: str, kind: type[T]) -> T:
        value: Any = self._values[key]
        accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
        # bool is an int to Python, never to a reader of JSON.
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise self.refuse(key, f"must be {_KINDS[kind]}, not {_name(value)}.")
        return cast(T, value)


def _name(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _KINDS.get(type(value), type(value).__name__)
