"""A worker and a clock that do as a test tells them."""

import pytest

from tests.runtime.health.fakes import Clock, Worker


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker() -> Worker:
    return Worker()
