"""Certificates by an authority that nobody knows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

LOCALHOST = x509.DNSName("localhost")


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: what a server needs, and the authority that its clients trust."""

    certificate: Path
    key: Path
    authority: Path


def certify(folder: Path, *names: x509.GeneralName) -> Certificate:
    """A certificate for these names, and an authority of its own."""
    files = Certificate(*(folder / name for name in ("server.crt", "server.key", "ca.crt")))
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = _name("An authority that nobody knows"), _name("server")
    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    authority = _signed(issuer, authority_key, issuer, authority_key, is_authority)
    certificate = _signed(subject, key, issuer, authority_key, x509.SubjectAlternativeName(names))
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
