"""What a person sees when a step fails, or when the machine lacks something."""

from pathlib import Path

import pytest

from ci import host, steps
from ci.steps import CommandFailed, Problem, capture, step, succeeds


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    return tmp_path


def test_a_failed_step_shows_its_last_lines_and_names_its_log(logs: Path) -> None:
    with pytest.raises(CommandFailed) as failed, step("Build the thing") as work:
        work.run(["sh", "-c", "echo the reason >&2; exit 3"])
    text = str(failed.value)
    assert "Build the thing: exit code 3" in text
    assert "the reason" in text
    assert str(logs / "build-the-thing.log") in text


def test_a_step_that_works_keeps_its_output_out_of_sight(
    logs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with step("Build the thing") as work:
        work.run(["sh", "-c", "echo $((6 * 7))"])
    assert "42" not in capfd.readouterr().out
    assert "42" in (logs / "build-the-thing.log").read_text()


def test_a_question_that_fails_carries_the_commands_own_words() -> None:
    with pytest.raises(Problem, match="42"):
        capture(["sh", "-c", "echo $((6 * 7)) >&2; exit 1"])


def test_a_command_that_does_not_exist_or_hangs_does_not_succeed() -> None:
    assert not succeeds(["no-such-command"])
    assert not succeeds(["sleep", "5"], timeout_seconds=0.1)


def test_a_missing_program_is_asked_for_where_it_cannot_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Problem, match=r"lacks a-package\. On Debian or Ubuntu: sudo apt-get"):
        host.ensure({"no-such-command": "a-package", "sh": "dash"})
