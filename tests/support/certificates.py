"""A private authority, and a server certificate of its."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "kraken.hospital.example"


@cache
def authority_file() -> Path:
    """The certificate of the authority; that of the server, with its key, is next to it."""
    folder = Path(mkdtemp(prefix="icure-tls-"))
    key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of these tests")])
    now = dt.datetime.now(dt.UTC)

    def certificate(
        public_key: ec.EllipticCurvePublicKey, subject: x509.Name, is_ca: bool
    ) -> bytes:
        names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        # Python 3.13 insists on what RFC 5280 does: key identifiers, and what a key is for.
        usage = x509.KeyUsage(
            digital_signature=not is_ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=is_ca,
            crl_sign=is_ca,
            encipher_only=False,
            decipher_only=False,
        )
        own, issuer = (
            x509.SubjectKeyIdentifier.from_public_key(each)
            for each in (public_key, key.public_key())
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
        return (
            x509.CertificateBuilder()
            .add_extension(usage, critical=True)
            .add_extension(own, critical=False)
            .add_extension(authority, critical=False)
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    server_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    server_key_pem = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(
        certificate(server_key.public_key(), server_name, False) + server_key_pem
    )
    authority = folder / "authority.pem"
    authority.write_bytes(certificate(key.public_key(), name, True))
    return authority


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority_file().with_name("server.pem"))
    return context


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority_file()))
