"""The files that a pod would find."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chart.conftest import Object, Release


def mount(
    release: "Release", spec: "Object", folder: Path, given: Mapping[str, str] | None = None
) -> None:
    """Lay out the runtime's volume; the keys of a Secret of the user's are given, or made up."""
    (volume,) = [v for v in spec["volumes"] if v["name"] == "celery-runtime"]
    ours = {o["metadata"]["name"]: o for o in release.all("Secret")}
    for source in volume["projected"]["sources"]:
        ((kind, reference),) = source.items()
        for item in reference["items"]:
            path = folder / item["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "configMap":
                text = release.one("ConfigMap", reference["name"])["data"][item["key"]]
            elif reference["name"] in ours:
                text = release.secret(reference["name"])[item["key"]]
            else:
                text = (given or {}).get(item["key"], f"{item['key']} of p@ss/w:rd")
            path.write_text(text, encoding="utf-8")
