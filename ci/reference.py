"""The reference in a chart's README, written from the defaults and comments of values.yaml."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci.paths import ROOT
from ci.steps import Problem, console

CHARTS = ("celery", "rabbitmq", "redis")
BEGIN = "<!-- From the comments of values.yaml: `make reference` writes this table. -->"
END = "<!-- The end of the reference. -->"
AS_ABOVE = ("As above.",)


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of values.yaml, or a section of keys, which has no default of its own."""

    path: str
    default: str
    comment: tuple[str, ...]


def write() -> None:
    """Bring every chart's reference up to date."""
    for chart in CHARTS:
        folder = ROOT / "charts" / chart
        text = (folder / "README.md").read_text(encoding="utf-8")
        renewed = written(folder)
        (folder / "README.md").write_text(renewed, encoding="utf-8")
        console.print(f"charts/{chart}/README.md: {'as it was' if renewed == text else 'renewed'}")


def written(folder: Path) -> str:
    """The README of a chart with the reference that its values.yaml gives."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Problem(f"{folder / 'README.md'} says nowhere where its reference is: {BEGIN} {END}")
    values = (folder / "values.yaml").read_text(encoding="utf-8")
    return f"{before}{BEGIN}\n\n{table(values)}\n{END}{after}"


def table(values: str) -> str:
    """The keys of values.yaml as a table in Markdown."""
    rows = [f"| `{key.path}` | {key.default} | {_prose(key.comment)} |" for key in keys(values)]
    return "\n".join(["| Key | Default | Says |", "| --- | --- | --- |", *rows, ""])


def keys(values: str) -> list[Key]:
    """The documented keys.

    A map is one key where its comment speaks for all that is in it, and a section where a comment
    stands in it. A comment speaks for the key below it, and for those after that which it names.

    Raises:
        Problem: no comment speaks for a key.

    """
    found = list(_keys(yaml.compose(values), values.splitlines(), ""))
    if silent := [key.path for key in found if not key.comment and key.default]:
        raise Problem(f"without a comment in values.yaml: {', '.join(silent)}")
    return [key for key in found if key.comment]


def differences(values: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """The keys that only values.yaml has, or only the schema.

    One with a description in the schema is there to be refused, or is Helm's.
    """
    return sorted(_differences(values, schema, schema, ""))


def _keys(node: yaml.MappingNode, lines: list[str], parent: str) -> Iterator[Key]:
    spoken: tuple[str, ...] = ()
    for name, value in node.value:
        path = f"{parent}{name.value}"
        comment = _comment(lines, name.start_mark.line)
        if comment:
            spoken = comment
        elif re.search(rf"\b{name.value}\b", " ".join(spoken)):
            comment = AS_ABOVE
        if _is_section(value, lines):
            yield Key(path=path, default="", comment=() if comment == AS_ABOVE else comment)
            yield from _keys(value, lines, f"{path}.")
        else:
            yield Key(path=path, default=_default(value), comment=comment)


def _is_section(node: yaml.Node, lines: list[str]) -> bool:
    return isinstance(node, yaml.MappingNode) and any(
        _comment(lines, name.start_mark.line) or _is_section(value, lines)
        for name, value in node.value
        if not node.flow_style
    )


def _comment(lines: list[str], line: int) -> tuple[str, ...]:
    """What stands directly above a line."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return tuple(each.strip().removeprefix("#") for each in lines[first:line])


def _default(node: yaml.Node) -> str:
    value = yaml.safe_load(yaml.serialize(node))
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _prose(comment: tuple[str, ...]) -> str:
    """The comment in one line; what is indented in it is an example."""
    words = [f"`{line.strip()}`" if line.startswith("   ") else line.strip() for line in comment]
    return " ".join(words).replace("|", "\\|").replace("<", "&lt;")


def _differences(
    values: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], parent: str
) -> Iterator[str]:
    known = schema.get("properties")
    if known is None:
        return
    for name in values.keys() - known.keys():
        yield f"{parent}{name} is not in values.schema.json"
    for name in known.keys() - values.keys():
        if "description" not in known[name]:
            yield f"{parent}{name} is not in values.yaml"
    for name in values.keys() & known.keys():
        if isinstance(values[name], dict) and values[name]:
            below = _resolved(known[name], root)
            yield from _differences(values[name], below, root, f"{parent}{name}.")


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    definition: Mapping[str, Any] = root["definitions"][reference.rpartition("/")[2]]
    return definition
