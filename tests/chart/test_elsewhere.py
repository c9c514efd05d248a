"""The README's examples of Secrets from elsewhere: their keys are those that the pods ask for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.chart.conftest import ROOT

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Object

Keys = set[tuple[str, str]]


@pytest.fixture(scope="module")
def examples() -> dict[str, list["Object"]]:
    """The manifests of the section, by their kind."""
    text = (ROOT / "charts" / "celery" / "README.md").read_text(encoding="utf-8")
    section = text.partition("### Secrets from elsewhere")[2].partition("###")[0]
    found: dict[str, list[Object]] = {}
    for block in section.split("```yaml\n")[1:]:
        for manifest in yaml.safe_load_all(block.partition("```")[0]):
            found.setdefault(manifest["kind"], []).append(manifest)
    return found


def test_external_secrets_have_the_keys_of_production(
    helm: "Helm", examples: dict[str, list["Object"]]
) -> None:
    made = {
        (example["spec"]["target"]["name"], data["secretKey"])
        for example in examples["ExternalSecret"]
        for data in example["spec"]["data"]
    }
    assert made == _asked(helm)


def test_the_secrets_of_the_csi_driver_have_the_keys_of_production(
    helm: "Helm", examples: dict[str, list["Object"]]
) -> None:
    (example,) = examples["SecretProviderClass"]
    made = {
        (secret["secretName"], data["key"])
        for secret in example["spec"]["secretObjects"]
        for data in secret["data"]
    }
    assert made == _asked(helm)
    fetched = yaml.safe_load(example["spec"]["parameters"]["objects"])
    assert {item["objectName"] for item in fetched} == {
        data["objectName"] for secret in example["spec"]["secretObjects"] for data in secret["data"]
    }


def _asked(helm: "Helm") -> Keys:
    """What the pods of values/production.yaml have to find in Secrets of the user's."""
    release = helm.template("production")
    made = {secret["metadata"]["name"] for secret in release.all("Secret")}
    theirs = {name for name, _ in _references(release.objects)} - made - {"shop-database"}
    assert theirs == {"shop-rabbitmq", "shop-redis"}
    return {found for found in _references(release.objects) if found[0] in theirs}


def _references(value: object) -> Iterator[tuple[str, str]]:
    """Every required key of a Secret, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "secretKeyRef":
                yield inner["name"], inner["key"]
            elif key == "secret" and "items" in inner and not inner.get("optional"):
                yield from ((_name(inner), item["key"]) for item in inner["items"])
            else:
                yield from _references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner)


def _name(secret: "Object") -> str:
    name: str = secret.get("secretName") or secret["name"]
    return name
