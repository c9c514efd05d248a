"""Certificates from a directory, as cert-manager and a mounted Secret write them."""

from pathlib import Path

import grpc

from celery_runtime.errors import SettingsError


def credentials(directory: Path) -> grpc.ServerCredentials:
    """The server's credentials; each connection is met with the files as they are then.

    Raises:
        SettingsError: a file is missing or cannot be read.

    """
    first = _read(directory)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(first),
        _Fetcher(directory, first),  # type: ignore[arg-type]  # None: no change
        require_client_authentication=(directory / "ca.crt").exists(),
    )


class _Fetcher:
    """New certificates once they are there; those that were, while they are being replaced."""

    def __init__(self, directory: Path, known: tuple[bytes, ...]) -> None:
        self._directory = directory
        self._known = known

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        try:
            found = _read(self._directory)
        except SettingsError:
            return None
        if found == self._known:
            return None
        self._known = found
        return _configuration(found)


def _read(directory: Path) -> tuple[bytes, ...]:
    names = ["tls.key", "tls.crt", *(["ca.crt"] if (directory / "ca.crt").exists() else [])]
    try:
        return tuple((directory / name).read_bytes() for name in names)
    except OSError as error:
        raise SettingsError(
            f"The scaler's certificate cannot be read: {error}. CELERY_EXPORTER_SCALER_TLS_DIR "
            "has to hold tls.crt and tls.key."
        ) from error


def _configuration(files: tuple[bytes, ...]) -> grpc.ServerCertificateConfiguration:
    key, certificate, *authority = files
    return grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=authority[0] if authority else None
    )
