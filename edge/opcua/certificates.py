"""Our certificate, made at the first start, and those of the clients that somebody has trusted.

They lie in VAR_DIR/opcua: `own` (certificate and key), `trusted` (a copy of each client's certificate, DER or PEM), and
`rejected`: those of clients that were turned away, to be moved to `trusted` by whoever knows them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings

from common.files import write_whole

_DAYS = 3650
_MAX_REJECTED = 50
_KEY_BITS = 2048  # as Basic256Sha256 wants: 2048 to 4096


def folder() -> Path:
    return Path(settings.VAR_DIR) / "opcua"


def application_uri() -> str:
    """By which clients know this application; it stands in the certificate."""
    return f"urn:{socket.gethostname()}:visual-inspection"


def own_certificate(host: str) -> tuple[Path, Path]:
    """The files of our certificate (DER) and its key (PEM); made where there are none.

    `host`: the name or address by which clients reach this machine, beside its own name.
    """
    certificate, key = folder() / "own" / "certificate.der", folder() / "own" / "key.pem"
    for name in ("own", "trusted", "rejected"):
        (folder() / name).mkdir(parents=True, exist_ok=True)
    if certificate.exists() and key.exists():
        return certificate, key
    private = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    with write_whole(key, mode=0o600) as file:
        file.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with write_whole(certificate, mode=0o644) as file:
        file.write(_signed(private, host).public_bytes(Encoding.DER))
    return certificate, key


def _signed(private: rsa.RSAPrivateKey, host: str) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Visual inspection"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, socket.gethostname()[:64]),
        ]
    )
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,  # it is signed by itself
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri())]
    names += [_general_name(text) for text in dict.fromkeys((socket.gethostname(), "localhost", host)) if text]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    return builder.sign(private, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def expiry_of(certificate: Path) -> datetime:
    return x509.load_der_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def is_trusted(certificate: x509.Certificate) -> bool:
    """Whether a copy of a client's certificate lies among the trusted ones, and its time is not over.

    The folder is read each time: what is moved there, or away from there, counts at the next connection.
    """
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    der = certificate.public_bytes(Encoding.DER)
    return any(found.public_bytes(Encoding.DER) == der for found in _trusted())


def _trusted() -> list[x509.Certificate]:
    found = []
    for path in sorted((folder() / "trusted").glob("*")):
        with contextlib.suppress(OSError, ValueError):
            data = path.read_bytes()
            load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
            found.append(load(data))
    return found


def keep_rejected(certificate: x509.Certificate) -> None:
    """Lay it where somebody finds it; the oldest ones go."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = re.sub(r"[^\w.-]+", "-", str(names[0].value) if names else "client")[:60].strip(".-") or "client"
    path = folder() / "rejected" / f"{name}-{certificate.fingerprint(hashes.SHA1()).hex()}.der"
    with write_whole(path, mode=0o644) as file:
        file.write(certificate.public_bytes(Encoding.DER))
    kept = sorted(path.parent.glob("*.der"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-_MAX_REJECTED]:
        old.unlink(missing_ok=True)
