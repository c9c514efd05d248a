"""What a decorator of a task has to know of a call: its task, and a key from its arguments."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any
from urllib.parse import quote

from celery import Task
from celery._state import get_current_task

from celery_runtime.errors import TaskDefinitionError
from celery_runtime.settings.document import suggest

#: A template over the arguments, as in "charge:{order_id}", or what makes the key of them, by name.
Key = str | Callable[..., str]
KeyOf = Callable[[Sequence[Any], Mapping[str, Any]], str]


def check_choice(what: str, value: str, *choices: str) -> None:
    """Refuse an option that is not one of the choices."""
    if value not in choices:
        raise TaskDefinitionError(
            f"{what}={value!r} is not known. Write one of {', '.join(choices)}."
        )


def check_positive(what: str, value: float) -> None:
    """Refuse a time or a count that is not above zero."""
    if not value > 0:
        raise TaskDefinitionError(f"{what}={value!r} must be above zero.")


def key_of(key: Key, function: Callable[..., Any]) -> KeyOf:
    """What makes the key of a call of this function.

    Raises:
        TaskDefinitionError: the template is malformed or names what is not an argument.

    """
    return _from_template(key, function) if isinstance(key, str) else _from_callable(key, function)


def running_task(function: Callable[..., Any]) -> Task:
    """The task that this function is being called for.

    Raises:
        TaskDefinitionError: there is none.

    """
    task = get_current_task()
    if task is None:
        raise TaskDefinitionError(
            f"{function.__qualname__} is called outside a task. Put @app.task or @shared_task "
            "above its other decorators, and call the task."
        )
    return task


def has_message(task: Task) -> bool:
    """Whether a message asked for this run; without one there is nothing to put back."""
    return not (task.request.called_directly or task.request.is_eager)


class _Encoding(Formatter):
    """Formats values so that none of them contains the separators of a template."""

    def format_field(self, value: object, format_spec: str) -> str:
        return quote(super().format_field(value, format_spec), safe="@")


_encoding = _Encoding()


def _from_template(template: str, function: Callable[..., Any]) -> KeyOf:
    _check_template(template, function.__qualname__, list(inspect.signature(function).parameters))
    by_name = _by_name(function)
    return lambda args, kwargs: _encoding.vformat(template, (), by_name(args, kwargs))


def _from_callable(key: Callable[..., str], function: Callable[..., Any]) -> KeyOf:
    by_name = _by_name(function)

    def make(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        made = key(**by_name(args, kwargs))
        if not isinstance(made, str):
            raise TaskDefinitionError(
                f"{function.__qualname__}: key must return a string, not {made!r}."
            )
        return made

    return make


def _by_name(
    function: Callable[..., Any],
) -> Callable[[Sequence[Any], Mapping[str, Any]], dict[str, Any]]:
    signature = inspect.signature(function)

    def bind(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    return bind


def _check_template(template: str, task: str, arguments: Sequence[str]) -> None:
    try:
        names = list(_names(template))
    except ValueError as error:
        raise TaskDefinitionError(
            f"{task}: key={template!r} is not a template: {error}. Write it as in "
            '"charge:{order_id}".'
        ) from error
    for name in names:
        if name not in arguments:
            raise TaskDefinitionError(
                f"{task}: key={template!r} names {{{name}}}, which is not an argument of it. "
                f"{suggest(name, arguments)}"
            )


def _names(template: str) -> Iterator[str]:
    for _, field, spec, _ in _encoding.parse(template):
        if field is not None:
            yield re.split(r"[.\[]", field, maxsplit=1)[0]
            yield from _names(spec or "")
