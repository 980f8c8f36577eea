"""A node's transport key: Ed25519, its self-signed certificate whose sha256 the ledger records, and its binding to an account."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from hansa.core.errors import IdentityError
from hansa.core.types import Address, Digest
from hansa.identity.keystore import write_private
from hansa.identity.statements import Statement
from hansa.identity.typed import StructType

_VALIDITY = datetime.timedelta(days=3650)
_MAX_FILE = 1 << 14


class NodeBinding(Statement, frozen=True, forbid_unknown_fields=True):
    """An account's word that `pubkey` (32 bytes, of the named transport) is its node's, until `expires`; a higher nonce replaces it."""

    TYPE = StructType("NodeBinding(string transport,bytes32 pubkey,uint64 expires,uint64 nonce)")
    transport: str
    pubkey: bytes
    expires: int
    nonce: int


class NodeCertificate:
    """A node's transport key and certificate, as files that a TLS library can load."""

    def __init__(self, folder: Path) -> None:
        """Load from `folder`; IdentityError when a file is missing, is no Ed25519 pair, or the two do not belong together."""
        self.key_file, self.certificate_file = folder / "transport.key.pem", folder / "transport.cert.pem"
        try:
            key = serialization.load_pem_private_key(_read(self.key_file), None)
            certificate = x509.load_pem_x509_certificate(_read(self.certificate_file))
        except (ValueError, TypeError) as error:
            raise IdentityError(f"the transport key or certificate in {folder} is damaged; remove both files to make new ones") from error
        if not isinstance(key, Ed25519PrivateKey) or certificate.public_key() != key.public_key():
            raise IdentityError(
                f"the transport key and certificate in {folder} are not one Ed25519 pair; remove both files to make new ones"
            )
        self.public_key = key.public_key().public_bytes_raw()
        self.fingerprint = Digest(hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())
        """sha256 of the DER certificate: what the ledger records and peers pin."""

    @classmethod
    def create(cls, folder: Path, account: Address, now: float) -> NodeCertificate:
        """A new pair for `account` in `folder`; the key (PKCS#8 PEM, mode 0600) comes from the operating system's generator.

        Peers pin the whole certificate, so nothing depends on its names or dates; changing it means a new record on the ledger.
        """
        key = Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, account)])
        start = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + _VALIDITY)
            .sign(key, None)
        )
        pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
        # The certificate last: a crash between the two leaves no certificate, and both are made anew.
        write_private(folder / "transport.key.pem", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted))
        write_private(folder / "transport.cert.pem", certificate.public_bytes(pem))
        return cls(folder)

    @classmethod
    def load_or_create(cls, folder: Path, account: Address, now: float) -> NodeCertificate:
        """The pair in `folder`, made on first use."""
        return cls(folder) if (folder / "transport.cert.pem").exists() else cls.create(folder, account, now)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise IdentityError(f"{path} is too large to be a key or certificate")
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(f"cannot read {path}: {error.strerror}") from error
