"""A scaler on a port, and KEDA's side of the conversation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from celery_exporter.scaler import Scaler
from celery_exporter.scaler.messages import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    ScaledObjectRef,
)
from tests.exporter.worlds import World

ANSWER_SECONDS = 20


class Keda:
    """What KEDA's operator asks, over one connection."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def is_active(self, **metadata: str) -> bool:
        ask = self._unary("IsActive", IsActiveResponse, ScaledObjectRef)
        return bool(ask(self._ref(metadata), timeout=ANSWER_SECONDS).result)

    def metric_spec(self, **metadata: str) -> Any:  # noqa: ANN401 # proto's
        ask = self._unary("GetMetricSpec", GetMetricSpecResponse, ScaledObjectRef)
        return ask(self._ref(metadata), timeout=ANSWER_SECONDS)

    def metrics(self, **metadata: str) -> Any:  # noqa: ANN401 # proto's
        ask = self._unary("GetMetrics", GetMetricsResponse, GetMetricsRequest)
        request = GetMetricsRequest(
            scaled_object_ref=self._ref(metadata), metric_name="celery-desired-replicas"
        )
        return ask(request, timeout=ANSWER_SECONDS)

    def value(self, **metadata: str) -> float:
        (each,) = self.metrics(**metadata).metric_values
        return float(each.metric_value_float)

    def stream(self, **metadata: str) -> Any:  # noqa: ANN401 # grpc's iterator, which can be cancelled
        ask = self.channel.unary_stream(
            f"/{SERVICE}/StreamIsActive",
            request_serializer=ScaledObjectRef.serialize,
            response_deserializer=IsActiveResponse.deserialize,
        )
        return ask(self._ref(metadata), timeout=60)

    def _ref(self, metadata: dict[str, str]) -> ScaledObjectRef:
        return ScaledObjectRef(name="jobs-io", namespace="shop", scaler_metadata=metadata)

    def _unary(self, name: str, answer: Any, request: Any) -> Any:  # noqa: ANN401 # proto's
        return self.channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=request.serialize,
            response_deserializer=answer.deserialize,
        )


StartScaler = Callable[..., Scaler]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def start() -> Iterator[StartScaler]:
    """Starts scalers, and stops them."""
    started: list[Scaler] = []

    def start(world: World, *, tls: Path | None = None) -> Scaler:
        started.append(Scaler(world.board, port=0, tls_directory=tls))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def keda(start: StartScaler, world: World) -> Iterator[Keda]:
    with grpc.insecure_channel(f"127.0.0.1:{start(world).port}") as channel:
        yield Keda(channel)
