"""secp256k1 account keys: the `Signer` port, recovery of a signer's address, and the one spelling of addresses."""

from __future__ import annotations

import functools
import re

from coincurve import PrivateKey, PublicKey

from hansa.core.encoding import keccak
from hansa.core.errors import IdentityError
from hansa.core.types import Address

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER = _ORDER // 2
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")

SIGNATURE_SIZE = 65


@functools.lru_cache(maxsize=4096)
def address_of(public_key: bytes) -> Address:
    """The account of an uncompressed public key (65 bytes): the last 20 bytes of keccak-256 over its coordinates."""
    return Address("0x" + keccak(public_key[1:])[12:].hex())


def is_address(text: str) -> bool:
    """Whether `text` is spelled as an `Address` must be: 0x and 40 lower-case hexadecimal digits."""
    return _ADDRESS.fullmatch(text) is not None


class AccountKey:
    """A secp256k1 key that implements `core.ports.Signer`; its secret appears in no representation."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes; IdentityError when it is no valid scalar of the curve."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise IdentityError("a secp256k1 secret is 32 bytes that encode a number between 1 and the curve's order; make a new key")
        self._key = PrivateKey(secret)
        self.address: Address = address_of(self._key.public_key.format(compressed=False))

    @classmethod
    def generate(cls) -> AccountKey:
        """A new key from the operating system's generator (R1)."""
        return cls(PrivateKey().secret)

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r ‖ s ‖ v over a 32-byte digest, deterministic (RFC 6979), s in the lower half, v in {27, 28}."""
        if len(digest) != 32:
            raise IdentityError(f"only 32-byte digests are signed, not {len(digest)} bytes")
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes((27 + signature[64],))

    def secret(self) -> bytes:
        """The 32 secret bytes, for the keystore alone."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"AccountKey({self.address})"

    def __reduce__(self) -> str:
        raise IdentityError("an account key is not serialised; keep it in a keystore")


def recover(digest: bytes, signature: bytes) -> Address:
    """Who signed a 32-byte digest; IdentityError for a malformed signature, v outside {27, 28}, or s in the upper half (malleable)."""
    if len(digest) != 32 or len(signature) != SIGNATURE_SIZE:
        raise IdentityError(f"a signature is {SIGNATURE_SIZE} bytes over a digest of 32, not {len(signature)} over {len(digest)}")
    if signature[64] not in (27, 28):
        raise IdentityError(f"the signature's recovery value is {signature[64]}, not 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise IdentityError("the signature's s is in the upper half; sign again with a library that makes canonical signatures")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes((signature[64] - 27,)), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception for points that are not on the curve
        raise IdentityError("the signature is not a valid secp256k1 signature") from error
    return address_of(key.format(compressed=False))
