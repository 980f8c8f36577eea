from __future__ import annotations

import hashlib
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hansa.core.errors import IdentityError
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey

ACCOUNT = AccountKey(b"\x01" * 32).address
NOW = 1_700_000_000.0


def test_the_fingerprint_is_the_sha256_of_the_certificate_and_stays_the_same(tmp_path: Path) -> None:
    made = NodeCertificate.create(tmp_path, ACCOUNT, NOW)
    der = ssl.PEM_cert_to_DER_cert(made.certificate_file.read_text())
    assert made.fingerprint == hashlib.sha256(der).digest()
    certificate = x509.load_der_x509_certificate(der)
    assert certificate.subject.rfc4514_string() == f"CN={ACCOUNT}"
    again = NodeCertificate.load_or_create(tmp_path, ACCOUNT, NOW)
    assert (again.fingerprint, again.public_key) == (made.fingerprint, made.public_key)
    assert stat.S_IMODE(made.key_file.stat().st_mode) == 0o600


def test_every_node_has_a_key_of_its_own(tmp_path: Path) -> None:
    first = NodeCertificate.load_or_create(tmp_path / "a", ACCOUNT, NOW)
    second = NodeCertificate.load_or_create(tmp_path / "b", ACCOUNT, NOW)
    assert first.fingerprint != second.fingerprint
    assert first.public_key != second.public_key


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    NodeCertificate.create(tmp_path / "a", ACCOUNT, NOW)
    other = NodeCertificate.create(tmp_path / "b", ACCOUNT, NOW)
    other.key_file.write_bytes((tmp_path / "a" / "transport.key.pem").read_bytes())
    with pytest.raises(IdentityError, match="not one Ed25519 pair"):
        NodeCertificate(tmp_path / "b")


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    made = NodeCertificate.create(tmp_path, ACCOUNT, NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    made.key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(IdentityError, match="not one Ed25519 pair"):
        NodeCertificate(tmp_path)


@pytest.mark.parametrize("name", ["transport.key.pem", "transport.cert.pem"])
def test_a_damaged_missing_or_huge_file_is_named(tmp_path: Path, name: str) -> None:
    NodeCertificate.create(tmp_path, ACCOUNT, NOW)
    for content, sentence in ((b"nonsense", "is damaged"), (b"x" * 20_000, "too large")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(IdentityError, match=sentence):
            NodeCertificate(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IdentityError, match=f"cannot read .*{name}"):
        NodeCertificate(tmp_path)


def test_a_crash_between_key_and_certificate_makes_both_anew(tmp_path: Path) -> None:
    NodeCertificate.create(tmp_path, ACCOUNT, NOW).certificate_file.unlink()
    assert len(NodeCertificate.load_or_create(tmp_path, ACCOUNT, NOW).fingerprint) == 32
