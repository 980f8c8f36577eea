"""Private blobs: AES-256-GCM per chunk, the ciphertext is what is named, the key is wrapped for each reader with HPKE.

A plaintext chunk is 16 bytes (the tag) shorter than a leaf, so chunk i of the plaintext is leaf i of the ciphertext and each can be opened
alone. The nonce is the chunk's index: every file version has a fresh random key, so no nonce repeats under a key. The number of chunks is
authenticated with each, so a ciphertext cannot be cut short.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hansa.core.errors import FormatError, IdentityError
from hansa.core.types import BlobRef
from hansa.storage.unixfs import LEAF

TAG = 16
CHUNK = LEAF - TAG
WRAPPED = 80
"""Bytes of a wrapped key: X25519 share, the key, a tag."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class FileKey:
    """The 32-byte key of one version of one blob; made by `encrypt` or `unwrap`, never reused, never shown."""

    __slots__ = ("_cipher", "_secret")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise FormatError(f"a file key has 32 bytes, not {len(secret)}")
        self._secret = secret
        self._cipher = AESGCM(secret)

    def __repr__(self) -> str:
        return "FileKey(…)"

    def __reduce__(self) -> str:
        raise TypeError("a file key cannot be serialised; wrap it for a reader")

    def open_chunk(self, index: int, count: int, chunk: bytes | memoryview) -> bytes:
        """Plaintext chunk `index` of a ciphertext of `count` leaves; FormatError when it is not that."""
        try:
            return self._cipher.decrypt(_nonce(index), bytes(chunk), _bound(count))
        except InvalidTag:
            raise FormatError(f"chunk {index} of {count} does not open with this key; it was changed or belongs to another blob") from None

    def _seal_chunk(self, index: int, count: int, chunk: memoryview) -> bytes:
        return self._cipher.encrypt(_nonce(index), bytes(chunk), _bound(count))


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _bound(count: int) -> bytes:
    return b"hansa blob 1" + count.to_bytes(8, "big")


def encrypt(data: bytes | memoryview) -> tuple[FileKey, bytes]:
    """A fresh key from the operating system's generator and the ciphertext to store; an empty blob becomes one tag."""
    key = FileKey(os.urandom(32))
    view = memoryview(data).cast("B")
    count = max(-(-len(view) // CHUNK), 1)
    return key, b"".join(key._seal_chunk(index, count, view[index * CHUNK : (index + 1) * CHUNK]) for index in range(count))


def decrypt(key: FileKey, ciphertext: bytes | memoryview) -> bytes:
    """The plaintext; FormatError when a single byte was changed, cut or added."""
    view = memoryview(ciphertext).cast("B")
    count = max(-(-len(view) // LEAF), 1)
    return b"".join(key.open_chunk(index, count, view[index * LEAF : (index + 1) * LEAF]) for index in range(count))


def wrap(key: FileKey, reader: X25519PublicKey, ref: BlobRef) -> bytes:
    """The key for one reader of the ciphertext named `ref`: HPKE base mode (RFC 9180), bound to that name; 80 bytes."""
    return _SUITE.encrypt(key._secret, reader, info=_info(ref))


def unwrap(wrapped: bytes, reader: X25519PrivateKey, ref: BlobRef) -> FileKey:
    """The key that was wrapped for this reader and this blob; IdentityError otherwise."""
    if len(wrapped) != WRAPPED:
        raise FormatError(f"a wrapped key has {WRAPPED} bytes, not {len(wrapped)}")
    try:
        return FileKey(_SUITE.decrypt(wrapped, reader, info=_info(ref)))
    except (InvalidTag, ValueError):
        raise IdentityError("the key was wrapped for another reader or another blob; ask the owner to wrap it for you") from None


def _info(ref: BlobRef) -> bytes:
    return b"hansa blob key 1" + ref.digest + ref.size.to_bytes(8, "big")
