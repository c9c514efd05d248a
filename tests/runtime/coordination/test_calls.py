"""Keys from the arguments of a call."""

import pytest
from celery import Celery
from hypothesis import example, given
from hypothesis import strategies as st

from celery_runtime import TaskDefinitionError
from celery_runtime.coordination import calls


def charge(order_id: int, currency: str = "EUR", *, note: str = "") -> None: ...


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("charge:{order_id}", "charge:7"),
        ("{order_id}:{currency}", "7:EUR"),
        ("{order_id:05d}", "00007"),
        ("nightly", "nightly"),
    ],
)
def test_a_template_takes_arguments_however_they_are_passed(template: str, key: str) -> None:
    key_of = calls.key_of(template, charge)
    assert key_of((7,), {}) == key_of((), {"order_id": 7}) == key_of((7, "EUR"), {}) == key


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
@example(("a:b", "c"), ("a", "b:c"))
@example(("a%3Ab", "c"), ("a:b", "c"))
def test_no_value_can_pass_for_another_pair_of_values(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    def mail(to: str, subject: str) -> None: ...

    key_of = calls.key_of("{to}:{subject}", mail)
    assert (key_of(one, {}) == key_of(other, {})) == (one == other)


def test_a_callable_gets_all_arguments_by_name_however_they_are_passed() -> None:
    key_of = calls.key_of(lambda order_id, currency, **_: f"{order_id} {currency}", charge)
    assert key_of((7,), {"note": "x"}) == key_of((), {"order_id": 7}) == "7 EUR"


def test_a_callable_that_makes_no_string_is_refused_by_the_name_of_the_task() -> None:
    key_of = calls.key_of(lambda order_id, **_: order_id, charge)
    with pytest.raises(TaskDefinitionError, match=r"charge: key must return a string, not 7\."):
        key_of((7,), {})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{order}", r"names \{order\}, .* Did you mean order_id\?"),
        ("{order_id}:{amount[x]}", r"names \{amount\}, .* Known here: currency, note, order_id\."),
        ("{order_id:{width}}", r"names \{width\}, "),
        ("{}", r"names \{\}, "),
        ("charge:{order_id", r'is not a template: .* Write it as in "charge:\{order_id\}"\.'),
    ],
)
def test_a_wrong_template_is_refused_by_name_with_the_mend(template: str, problem: str) -> None:
    with pytest.raises(TaskDefinitionError, match=f"^charge: key=.* {problem}"):
        calls.key_of(template, charge)


def test_a_function_that_runs_outside_a_task_is_told_what_is_missing() -> None:
    with pytest.raises(
        TaskDefinitionError, match=r"charge is called outside a task\. Put @app.task"
    ):
        calls.running_task(charge)


def test_only_a_run_that_a_message_asked_for_has_one() -> None:
    app = Celery(set_as_current=False)
    seen = []

    @app.task(bind=True, shared=False)
    def look(self: object) -> None:
        seen.append(calls.has_message(self))

    look()
    look.apply()
    assert seen == [False, False]
