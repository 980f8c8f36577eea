"""Encrypted blobs: what a reader with the key gets back, and everything that must not open."""

from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.errors import FormatError, IdentityError
from hansa.storage import unixfs
from hansa.storage.encrypted import CHUNK, TAG, WRAPPED, FileKey, decrypt, encrypt, unwrap, wrap
from hansa.storage.unixfs import LEAF

DATA = bytes(range(256)) * 12288 + b"end"
"""Three chunks and a bit."""


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len(DATA)])
def test_what_was_encrypted_is_decrypted(size: int) -> None:
    key, ciphertext = encrypt(memoryview(DATA)[:size])
    assert decrypt(key, ciphertext) == DATA[:size]
    assert len(ciphertext) == size + TAG * max(-(-size // CHUNK), 1)


def test_chunk_i_of_the_plaintext_is_leaf_i_of_the_ciphertext() -> None:
    key, ciphertext = encrypt(DATA)
    count = unixfs.leaf_count(len(ciphertext))
    assert count == 4
    assert key.open_chunk(2, count, ciphertext[2 * LEAF : 3 * LEAF]) == DATA[2 * CHUNK : 3 * CHUNK]


def test_every_version_has_a_fresh_key() -> None:
    (first, one), (second, two) = encrypt(DATA[:100]), encrypt(DATA[:100])
    assert one != two
    with pytest.raises(FormatError, match="does not open"):
        decrypt(first, two)
    assert decrypt(second, two) == DATA[:100]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_byte_does_not_open(data: st.DataObject) -> None:
    key, ciphertext = encrypt(DATA[:200])
    spoilt = bytearray(ciphertext)
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FormatError, match="does not open"):
        decrypt(key, spoilt)


def test_chunks_cut_swapped_repeated_or_added_do_not_open() -> None:
    key, ciphertext = encrypt(DATA)
    leaves = [ciphertext[first : first + LEAF] for first in range(0, len(ciphertext), LEAF)]
    for wrong in ([], leaves[:3], leaves[1:], [leaves[1], leaves[0], *leaves[2:]], [leaves[0], *leaves], [*leaves, b""[:0] + leaves[3]]):
        with pytest.raises(FormatError, match="does not open"):
            decrypt(key, b"".join(wrong))


def test_a_reader_unwraps_and_another_does_not() -> None:
    key, ciphertext = encrypt(DATA[:10])
    ref = unixfs.root(ciphertext)
    reader, stranger = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    wrapped = wrap(key, reader.public_key(), ref)
    assert len(wrapped) == WRAPPED and wrapped != wrap(key, reader.public_key(), ref)
    assert decrypt(unwrap(wrapped, reader, ref), ciphertext) == DATA[:10]
    with pytest.raises(IdentityError, match="another reader or another blob"):
        unwrap(wrapped, stranger, ref)


def test_a_wrapped_key_belongs_to_one_blob() -> None:
    key, ciphertext = encrypt(DATA[:10])
    reader = X25519PrivateKey.generate()
    wrapped = wrap(key, reader.public_key(), unixfs.root(ciphertext))
    with pytest.raises(IdentityError, match="another reader or another blob"):
        unwrap(wrapped, reader, unixfs.root(b"another blob"))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100) | st.binary(min_size=WRAPPED, max_size=WRAPPED))
def test_any_other_bytes_do_not_unwrap(wrapped: bytes) -> None:
    with pytest.raises((FormatError, IdentityError)):
        unwrap(wrapped, READER, unixfs.root(b"x"))


READER = X25519PrivateKey.generate()


def test_keys_are_not_shown_and_not_serialised() -> None:
    key = FileKey(bytes(range(32)))
    assert repr(key) == str(key) == "FileKey(…)"
    with pytest.raises(TypeError, match="wrap it"):
        pickle.dumps(key)
    with pytest.raises(FormatError, match="32 bytes"):
        FileKey(b"short")
