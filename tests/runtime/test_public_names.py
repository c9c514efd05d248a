"""The namespace that users import from."""

from importlib.metadata import version
from inspect import getmembers, isclass

import celery_runtime
from celery_runtime import errors


def test_every_public_name_exists_and_every_error_is_public() -> None:
    assert all(hasattr(celery_runtime, name) for name in celery_runtime.__all__)
    own = {name for name, _ in getmembers(errors, isclass)}
    assert own <= set(celery_runtime.__all__)


def test_every_error_has_the_one_root() -> None:
    for _, error in getmembers(errors, isclass):
        assert issubclass(error, celery_runtime.CeleryRuntimeError)


def test_the_version_is_that_of_the_package() -> None:
    assert celery_runtime.__version__ == version("celery-runtime")
