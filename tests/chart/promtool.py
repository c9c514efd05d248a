"""The chart's alerts under Prometheus' own test runner."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

#: What prometheus-operator's monitors, and kube-state-metrics, add to what is scraped.
EXPORTER = {"namespace": "celery-demo", "service": "jobs-exporter", "pod": "jobs-exporter-5f-abcde"}
BEAT = {"namespace": "celery-demo", "pod": "jobs-beat-6d-fghij"}

#: A series to its values, a minute apart, as promtool writes them.
Series = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Firing:
    """An alert as somebody gets it: its labels beside the release's own, and the text."""

    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


def series(metric: str, of: Mapping[str, str] = EXPORTER, /, **labels: str) -> str:
    """A series as it is after scraping; its own labels go before those of the target."""
    pairs = ",".join(f'{name}="{value}"' for name, value in {**of, **labels}.items())
    return f"{metric}{{{pairs}}}"


class Rules:
    """The rules of a PrometheusRule."""

    def __init__(self, spec: Mapping[str, Any], folder: Path) -> None:
        program = shutil.which("promtool")
        if program is None:
            pytest.fail("promtool is needed: install Prometheus (on Debian: prometheus)")
        self._program = program
        self._folder = folder
        self.rules: list[dict[str, Any]] = [
            rule for group in spec["groups"] for rule in group["rules"]
        ]
        (folder / "rules.yaml").write_text(yaml.safe_dump(dict(spec)))

    @property
    def alerts(self) -> dict[str, dict[str, Any]]:
        """The alerts by name."""
        return {rule["alert"]: rule for rule in self.rules if "alert" in rule}

    def check(self) -> None:
        """Fail on a rule that Prometheus would not load."""
        self._run("check", "rules", "rules.yaml")

    def expect(self, alert: str, given: Series, at: Mapping[int, Firing | None]) -> None:
        """Fail unless the alert is at these minutes what is said of it."""
        tests = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": s, "values": v} for s, v in given.items()],
                    "alert_rule_test": [
                        {
                            "eval_time": f"{minute}m",
                            "alertname": alert,
                            "exp_alerts": self._sent(alert, firing),
                        }
                        for minute, firing in at.items()
                    ],
                }
            ],
        }
        (self._folder / "tests.yaml").write_text(yaml.safe_dump(tests))
        self._run("test", "rules", "tests.yaml")

    def _sent(self, alert: str, firing: Firing | None) -> list[dict[str, Any]]:
        if firing is None:
            return []
        rule = self.alerts[alert]
        texts = rule["annotations"] | {"description": firing.description}
        texts["summary"] = re.sub(
            r"{{ \$labels\.(\w+) }}",
            lambda found: firing.labels.get(found[1], ""),
            texts["summary"],
        )
        return [{"exp_labels": rule["labels"] | dict(firing.labels), "exp_annotations": texts}]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [self._program, *command],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
