import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from hansa.core.errors import FormatError
from hansa.privacy.masks import add_masks, subtract_masks

CLIENTS = range(1, 6)


@pytest.fixture
def vectors(shared: Path) -> dict:
    return json.loads((shared / "vectors" / "secagg_masks.json").read_text())


def key(*parts: object) -> bytes:
    return hashlib.sha256("|".join(["secagg-test-vector", *map(str, parts)]).encode()).digest()[:16]


def pair(i: int, j: int) -> bytes:
    return key("pair", min(i, j), max(i, j))


def masked(values: list[int], client: int) -> np.ndarray:
    vector = np.array(values, np.int32).view(np.uint32).copy()
    add_masks(vector, [key("self", client), *(pair(client, other) for other in CLIENTS if other > client)])
    subtract_masks(vector, [pair(client, other) for other in CLIENTS if other < client])
    return vector


def test_masked_vectors_are_those_of_the_reference(vectors: dict) -> None:
    for client in CLIENTS:
        assert masked(vectors["x_int32"][client - 1], client).tolist() == vectors["masked_uint32"][str(client)]


def test_the_sum_of_the_survivors_comes_out_when_one_drops_out(vectors: dict) -> None:
    survivors = [client for client in CLIENTS if client not in vectors["dropped"]]
    total = np.zeros(8, np.uint32)
    for client in survivors:
        total += np.array(vectors["masked_uint32"][str(client)], np.uint32)
    subtract_masks(total, [key("self", client) for client in survivors])
    (lost,) = vectors["dropped"]
    subtract_masks(total, [pair(client, lost) for client in survivors if client < lost])
    add_masks(total, [pair(client, lost) for client in survivors if client > lost])
    assert total.view(np.int32).tolist() == vectors["sum_int32"]


def keystream(secret: bytes, count: int) -> list[int]:
    """The definition, block by block: AES of a big-endian counter from zero."""
    block = Cipher(AES(secret), ECB()).encryptor()
    stream = b"".join(block.update(number.to_bytes(16, "big")) for number in range(-(-count // 4)))
    return np.frombuffer(stream, "<u4")[:count].tolist()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1 << 16, (1 << 16) + 1, (1 << 17) + 5])
def test_a_mask_is_one_keystream_across_chunks(size: int) -> None:
    vector = np.zeros(size, np.uint32)
    add_masks(vector, [key("self", 1)])
    assert vector.tolist() == keystream(key("self", 1), size)


def test_masks_wrap_around_and_come_off_again() -> None:
    vector = np.full(70_000, 2**32 - 1, np.uint32)
    add_masks(vector, [key("self", 1), key("self", 2)])
    assert not (vector == 2**32 - 1).all()
    subtract_masks(vector, [key("self", 2), key("self", 1)])
    assert (vector == 2**32 - 1).all()


def test_masks_look_uniform() -> None:
    vector = np.zeros(1 << 16, np.uint32)
    add_masks(vector, [key("self", 3)])
    counts = np.bincount(vector >> 24, minlength=256)
    # Chi-square with 255 degrees of freedom: mean 255, standard deviation 23.
    assert abs(((counts - 256) ** 2 / 256).sum() - 255) < 5 * 23


@pytest.mark.parametrize("vector", [np.zeros(4, np.int32), np.zeros(4, np.uint64), np.zeros((2, 2), np.uint32)])
def test_other_vectors_are_refused(vector: np.ndarray) -> None:
    with pytest.raises(FormatError, match="masked vector"):
        add_masks(vector, [bytes(16)])


@pytest.mark.parametrize("length", [0, 15, 24, 32])
def test_keys_of_other_lengths_are_refused(length: int) -> None:
    vector = np.ones(4, np.uint32)
    with pytest.raises(FormatError, match="16 bytes"):
        subtract_masks(vector, [bytes(length)])
    assert vector.tolist() == [1] * 4
