"""extraObjects: the user's own objects, installed and removed with the release."""

from typing import TYPE_CHECKING

import pytest

from tests.chart.conftest import CHART_VERSION

if TYPE_CHECKING:
    from tests.chart.conftest import Helm, Values

GRANT = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": '{{ include "celery.fullname" . }}-reader', "labels": {"team": "shop"}},
    "subjects": [{"kind": "ServiceAccount", "name": "{{ .Release.Name }}-celery"}],
}


def test_their_templates_are_filled_in_and_they_wear_the_releases_labels(
    helm: "Helm", minimal: "Values"
) -> None:
    found = helm.template(minimal | {"extraObjects": [GRANT]}).one("RoleBinding", "jobs-reader")
    assert found["subjects"] == [{"kind": "ServiceAccount", "name": "jobs-celery"}]
    assert found["metadata"]["labels"] == {
        "team": "shop",
        "app.kubernetes.io/name": "celery",
        "app.kubernetes.io/instance": "jobs",
        "app.kubernetes.io/component": "extra",
        "app.kubernetes.io/version": "5.7",
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": f"celery-{CHART_VERSION}",
    }


def test_there_are_as_many_as_are_stated(helm: "Helm", minimal: "Values") -> None:
    usual = len(helm.template(minimal).objects)
    given = [GRANT | {"metadata": {"name": name}} for name in ("a", "b", "c")]
    assert len(helm.template(minimal | {"extraObjects": given}).objects) == usual + 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "ConfigMap", "metadata": {"name": "x"}}, "missing property 'apiVersion'"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, "missing property 'name'"),
        ("kind: ConfigMap", "at '/extraObjects/0': got string, want object"),
        (
            GRANT | {"metadata": {"name": 'x{{ printf "%s y" ":" }}'}},
            "extraObjects[0]: no YAML once its templates are filled in",
        ),
    ],
)
def test_what_is_no_object_is_refused(
    helm: "Helm", minimal: "Values", given: object, message: str
) -> None:
    assert message in helm.refusal(minimal | {"extraObjects": [given]})
