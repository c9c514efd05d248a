"""The scaler with certificates from a directory."""

from pathlib import Path

import grpc
import pytest

from celery_exporter.scaler import Scaler
from celery_runtime.errors import SettingsError
from tests.certificates import Authority, Pair
from tests.exporter.scaler.conftest import Keda, StartScaler
from tests.exporter.worlds import World


def ask(port: int, trusted: Authority, shown: Pair | None = None) -> bool:
    credentials = grpc.ssl_channel_credentials(
        trusted.certificate,
        shown.key if shown else None,
        shown.certificate if shown else None,
    )
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        return Keda(channel).is_active(group="io")


def refused(port: int, trusted: Authority, shown: Pair | None = None) -> bool:
    try:
        ask(port, trusted, shown)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


@pytest.fixture
def asleep(world: World) -> World:
    world.tick(times=15)
    return world


def test_keda_asks_over_tls(start: StartScaler, asleep: World, tmp_path: Path) -> None:
    authority = Authority()
    authority.signed("scaler").write(tmp_path)
    port = start(asleep, tls=tmp_path).port
    assert not ask(port, authority)
    assert refused(port, Authority())
    with grpc.insecure_channel(f"localhost:{port}") as plain, pytest.raises(grpc.RpcError):
        Keda(plain).is_active(group="io")


def test_with_an_authority_for_clients_a_client_has_to_show_a_certificate_of_it(
    start: StartScaler, asleep: World, tmp_path: Path
) -> None:
    authority, clients = Authority(), Authority()
    authority.signed("scaler").write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(clients.certificate)
    port = start(asleep, tls=tmp_path).port
    assert not ask(port, authority, clients.signed("keda"))
    assert refused(port, authority)
    assert refused(port, authority, Authority().signed("keda"))


def test_certificates_that_are_replaced_are_shown_to_the_next_client(
    start: StartScaler, asleep: World, tmp_path: Path
) -> None:
    first, second = Authority(), Authority()
    first.signed("scaler").write(tmp_path)
    port = start(asleep, tls=tmp_path).port
    assert not ask(port, first)
    (tmp_path / "tls.key").unlink()
    assert not ask(port, first)
    second.signed("scaler").write(tmp_path)
    assert not ask(port, second)
    assert refused(port, first)


def test_a_directory_without_a_key_is_refused_with_what_it_has_to_hold(
    world: World, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"SCALER_TLS_DIR has to hold tls\.crt and tls\.key"):
        Scaler(world.board, port=0, tls_directory=tmp_path)
