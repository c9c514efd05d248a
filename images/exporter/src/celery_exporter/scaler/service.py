"""What KEDA is answered: the four calls of an external push scaler."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, Protocol

import grpc
from grpc import StatusCode, aio

from celery_exporter.scaler import messages
from celery_exporter.scaler.messages import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)
from celery_exporter.scaling import Board, Plan

METRIC = "celery-desired-replicas"
TARGET = 1
#: What is not known for longer is said to be so, and KEDA's fallback acts.
_UNKNOWN = "Nothing is known of the pods of {group}: see the exporter's log and its page."

Context = aio.ServicerContext[Any, Any]


class Changes(Protocol):
    """Something that happens again and again."""

    def upcoming(self) -> asyncio.Event:
        """The next time, counted from this call and not from when it is waited for."""


class Service:
    """Answers from the board, and never waits for anything but its next change."""

    def __init__(self, board: Board, changes: Changes) -> None:
        self._board = board
        self._changes = changes
        #: Streams that are open.
        self.streams = 0

    async def is_active(self, asked: ScaledObjectRef, context: Context) -> IsActiveResponse:
        """Whether the group needs a pod."""
        plan = await self._plan(asked, context)
        if plan is None or plan.active is None:
            await _unknown(context, _group(asked))
        return IsActiveResponse(result=plan.active)

    async def stream_is_active(
        self, asked: ScaledObjectRef, context: Context
    ) -> AsyncIterator[IsActiveResponse]:
        """Tell at once whether the group needs a pod, and again when that changes."""
        told: bool | None = None
        self.streams += 1
        try:
            while True:
                change = self._changes.upcoming()
                plan = await self._plan(asked, context)
                active = plan.active if plan else None
                if active is not None and active != told:
                    told = active
                    yield IsActiveResponse(result=active)
                await change.wait()
        finally:
            self.streams -= 1

    async def get_metric_spec(
        self, asked: ScaledObjectRef, context: Context
    ) -> GetMetricSpecResponse:
        """One metric, which says how many replicas are needed."""
        await self._plan(asked, context)
        # Both: KEDA takes the float since 2.18, and the other before.
        spec = MetricSpec(metric_name=METRIC, target_size=TARGET, target_size_float=TARGET)
        return GetMetricSpecResponse(metric_specs=[spec])

    async def get_metrics(self, asked: GetMetricsRequest, context: Context) -> GetMetricsResponse:
        """How many replicas are needed, as the HPA has to be told."""
        plan = await self._plan(asked.scaled_object_ref, context)
        value = plan.metric_value if plan else None
        if value is None:
            await _unknown(context, _group(asked.scaled_object_ref))
        each = MetricValue(metric_name=METRIC, metric_value=value, metric_value_float=value)
        return GetMetricsResponse(metric_values=[each])

    async def _plan(self, asked: ScaledObjectRef, context: Context) -> Plan | None:
        """What the group needs that is asked for; None where that is not known."""
        name, known = _group(asked), self._board.scaled()
        if name in known:
            return self._board.plan(name)
        text = f"Known are: {', '.join(known) or 'none'}."
        if not name:
            await context.abort(
                StatusCode.INVALID_ARGUMENT,
                f"The trigger's metadata has no key group, the name of a worker group. {text}",
            )
        await context.abort(
            StatusCode.NOT_FOUND,
            f"There is no worker group {name!r} with autoscaling. {text} "
            "Correct the key group of the trigger's metadata, or the chart's workers.",
        )
        raise asyncio.CancelledError  # abort does not return, which its types do not say


def handler(service: Service) -> grpc.GenericRpcHandler:
    """The service, by the names that KEDA calls."""
    each: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "IsActive": _unary(service.is_active, ScaledObjectRef, IsActiveResponse),
        "GetMetricSpec": _unary(service.get_metric_spec, ScaledObjectRef, GetMetricSpecResponse),
        "GetMetrics": _unary(service.get_metrics, GetMetricsRequest, GetMetricsResponse),
        "StreamIsActive": grpc.unary_stream_rpc_method_handler(
            service.stream_is_active,
            request_deserializer=ScaledObjectRef.deserialize,
            response_serializer=IsActiveResponse.serialize,
        ),
    }
    return grpc.method_handlers_generic_handler(messages.SERVICE, each)


def _unary(
    answer: Callable[..., Any],
    request: Any,  # noqa: ANN401 # proto's metaclass
    response: Any,  # noqa: ANN401 # proto's metaclass
) -> "grpc.RpcMethodHandler[Any, Any]":
    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.deserialize, response_serializer=response.serialize
    )


def _group(asked: ScaledObjectRef) -> str:
    return str(asked.scaler_metadata.get("group", ""))


async def _unknown(context: Context, group: str) -> NoReturn:
    await context.abort(StatusCode.UNAVAILABLE, _UNKNOWN.format(group=group))
    raise asyncio.CancelledError  # abort does not return, which its types do not say
