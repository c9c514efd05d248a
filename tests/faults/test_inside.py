"""What is known of a command in a pod; `env` stands where `kubectl exec POD` does."""

import os

import pytest

from ci.steps import Problem
from tests.cluster import inside


def _run(*exec_: str, script: str) -> tuple[int, str, str]:
    return inside.run(exec_, ("sh", "-c", script), env=os.environ)


@pytest.mark.parametrize("said", ["", "a line\n", "no end", "1\n0\n"])
@pytest.mark.parametrize("code", [0, 3])
def test_output_and_exit_code_are_those_of_the_command(said: str, code: int) -> None:
    script = f"printf '{said}'; echo why >&2; exit {code}"
    assert _run("env", script=script) == (code, said, "why\n")


def test_an_answer_that_is_lost_is_no_empty_one() -> None:
    with pytest.raises(inside.AnswerLost, match="no answer came of sh -c"):
        _run("true", script="echo a line")


def test_a_command_that_does_not_run_is_no_answer_lost() -> None:
    with pytest.raises(Problem, match="No such file") as found:
        _run("env", "--chdir=/nowhere", script="echo a line")
    assert not isinstance(found.value, inside.AnswerLost)
