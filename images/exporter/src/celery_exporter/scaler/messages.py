"""KEDA's externalscaler.proto, as of 2.20: what it asks and what it is answered."""

import proto

SERVICE = "externalscaler.ExternalScaler"

__protobuf__ = proto.module(package="externalscaler")


class ScaledObjectRef(proto.Message):
    """Which ScaledObject asks, and the metadata of its trigger."""

    name = proto.Field(proto.STRING, number=1)
    namespace = proto.Field(proto.STRING, number=2)
    scaler_metadata = proto.MapField(proto.STRING, proto.STRING, number=3)


class IsActiveResponse(proto.Message):
    """Whether there is anything to do."""

    result = proto.Field(proto.BOOL, number=1)


class MetricSpec(proto.Message):
    """A metric of the HPA that KEDA makes, and its target."""

    metric_name = proto.Field(proto.STRING, number=1)
    target_size = proto.Field(proto.INT64, number=2)
    target_size_float = proto.Field(proto.DOUBLE, number=3)


class GetMetricSpecResponse(proto.Message):
    """The metrics."""

    metric_specs = proto.RepeatedField(MetricSpec, number=1)


class GetMetricsRequest(proto.Message):
    """Which metric is asked for."""

    scaled_object_ref = proto.Field(ScaledObjectRef, number=1)
    metric_name = proto.Field(proto.STRING, number=2)


class MetricValue(proto.Message):
    """A metric's value."""

    metric_name = proto.Field(proto.STRING, number=1)
    metric_value = proto.Field(proto.INT64, number=2)
    metric_value_float = proto.Field(proto.DOUBLE, number=3)


class GetMetricsResponse(proto.Message):
    """The values."""

    metric_values = proto.RepeatedField(MetricValue, number=1)
