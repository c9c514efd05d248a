"""What KEDA asks and is answered, over a real connection."""

import time

import grpc
import pytest

from celery_exporter.scaler import Scaler
from celery_runtime.errors import PortTakenError
from tests.exporter.scaler.conftest import Keda, StartScaler
from tests.exporter.worlds import World, group, pod, work
from tests.runtime.conftest import wait_until

STREAMS = 50


def test_a_group_asleep_is_woken_by_its_first_message(keda: Keda, world: World) -> None:
    world.tick(times=15)
    assert not keda.is_active(group="io")
    assert keda.value(group="io") == 0
    world.ready = {"email": 1}
    world.tick()
    assert keda.is_active(group="io")
    assert keda.value(group="io") == 1


def test_the_metric_has_a_target_of_one_for_each_pod(keda: Keda) -> None:
    (spec,) = keda.metric_spec(group="io").metric_specs
    assert (spec.metric_name, spec.target_size, spec.target_size_float) == (
        "celery-desired-replicas",
        1,
        1.0,
    )


def test_both_fields_of_a_value_say_the_same(keda: Keda, world: World) -> None:
    world.ready = {"email": 400}
    world.tick()
    (each,) = keda.metrics(group="io").metric_values
    assert each.metric_value == each.metric_value_float > 0


def test_one_more_than_ten_replicas_is_told_so_that_the_hpa_hears_it(
    keda: Keda, world: World
) -> None:
    running = [pod(f"io-{number}", does=work(*[20.0] * 4)) for number in range(10)]
    world.pods = running
    world.ready = {"email": 1}
    world.tick()
    assert world.desired() == 11
    assert keda.value(group="io") == 12


@pytest.mark.parametrize("call", ["is_active", "metric_spec", "metrics"])
def test_an_unknown_group_is_not_found_and_the_known_ones_are_named(keda: Keda, call: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        getattr(keda, call)(group="oi")
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert "'oi'" in str(refused.value.details())
    assert "Known are: io." in str(refused.value.details())


def test_a_group_that_is_not_scaled_is_not_found(start: StartScaler) -> None:
    world = World(group("io"), group("fixed", "bulk", scaled=False))
    with grpc.insecure_channel(f"127.0.0.1:{start(world).port}") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            Keda(channel).is_active(group="fixed")
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_metadata_without_a_group_is_an_invalid_argument(keda: Keda) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        keda.is_active(name="io")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no key group" in str(refused.value.details())
    with pytest.raises(grpc.RpcError) as refused:
        next(keda.stream())
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("call", ["is_active", "metrics"])
def test_a_scaler_that_knows_nothing_yet_is_unavailable(keda: Keda, call: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        getattr(keda, call)(group="io")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "Nothing is known of the pods of io" in str(refused.value.details())


def test_replicas_stay_as_they_are_while_the_broker_is_away(keda: Keda, world: World) -> None:
    world.pods = [pod(f"io-{number}", does=work()) for number in range(7)]
    world.tick(times=15)
    assert keda.value(group="io") < 7
    world.ready = None
    world.tick()
    assert keda.value(group="io") == 7
    assert keda.is_active(group="io")


def test_while_kubernetes_is_away_values_are_unavailable_but_a_message_still_wakes(
    keda: Keda, world: World
) -> None:
    world.tick(times=15)
    world.pods = None
    world.tick(times=5)
    with pytest.raises(grpc.RpcError) as refused:
        keda.is_active(group="io")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    world.ready = {"email": 3}
    world.tick()
    assert keda.is_active(group="io")
    with pytest.raises(grpc.RpcError) as refused:
        keda.metrics(group="io")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_stream_tells_the_state_at_once_and_each_change_within_a_second(
    keda: Keda, world: World
) -> None:
    world.tick(times=15)
    stream = keda.stream(group="io")
    assert not next(stream).result
    for ready, active in ((1, True), (0, False), (2, True)):
        world.ready = {"email": ready}
        before = time.monotonic()
        # The second tick says the same, and is not told of.
        world.tick(times=2)
        assert next(stream).result is active
        assert time.monotonic() - before < 1
    stream.cancel()


def test_fifty_streams_hear_of_the_first_message_and_end_when_they_are_cancelled(
    start: StartScaler, world: World
) -> None:
    world.tick(times=15)
    scaler: Scaler = start(world)
    with grpc.insecure_channel(f"127.0.0.1:{scaler.port}") as channel:
        streams = [Keda(channel).stream(group="io") for _ in range(STREAMS)]
        assert not any(next(stream).result for stream in streams)
        assert scaler.streams == STREAMS
        world.ready = {"email": 1}
        before = time.monotonic()
        world.tick()
        assert all(next(stream).result for stream in streams)
        assert time.monotonic() - before < 1
        assert Keda(channel).is_active(group="io")
        for stream in streams:
            stream.cancel()
        wait_until(lambda: scaler.streams == 0, "the streams have ended")


def test_a_port_that_is_taken_is_said_with_its_variable(start: StartScaler, world: World) -> None:
    taken = start(world).port
    with pytest.raises(PortTakenError, match=f"port {taken}.*CELERY_EXPORTER_SCALER_PORT"):
        Scaler(world.board, port=taken).start()
