"""Label selectors, as an HPA's `metric.selector` is sent: `a=b,c in (d,e),!f`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Commas part requirements, but for those within parentheses.
_COMMA = re.compile(r",(?![^(]*\))")
_NAME = r"([\w./-]+)"
_SET = re.compile(rf"{_NAME}\s+(in|notin)\s*\(([^()]*)\)")
_EQUALITY = re.compile(rf"{_NAME}\s*(==|=|!=)\s*([\w.-]*)")
_EXISTENCE = re.compile(rf"(!?)\s*{_NAME}")


class SelectorError(ValueError):
    """It is no selector."""


@dataclass(frozen=True)
class _Requirement:
    label: str
    #: None: any.
    values: frozenset[str] | None
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        there = self.label in labels
        matches = there and (self.values is None or labels[self.label] in self.values)
        return matches != self.negated


@dataclass(frozen=True)
class Selector:
    """What labels have to be."""

    requirements: Sequence[_Requirement]

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """The selector in a query.

        Raises:
            SelectorError: there is none.

        """
        parts = [part.strip() for part in _COMMA.split(text)] if text.strip() else []
        return cls([_requirement(part) for part in parts])

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all requirements hold."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def _requirement(text: str) -> _Requirement:
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found[3].split(","))
        return _Requirement(found[1], values, found[2] == "notin")
    if found := _EQUALITY.fullmatch(text):
        return _Requirement(found[1], frozenset({found[3]}), found[2] == "!=")
    if found := _EXISTENCE.fullmatch(text):
        return _Requirement(found[2], None, bool(found[1]))
    raise SelectorError(f"{text!r} is no label selector: write label=value, or label in (a, b).")
