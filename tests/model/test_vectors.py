import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.model.vectors import decode, encode, read, size

VECTORS = (np.arange(3, dtype=np.float64), np.array([-1.5, 2.0**-40]))
BYTES = encode(VECTORS)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_vectors_come_back_bit_for_bit(kind: type) -> None:
    vectors = tuple(each.astype(kind) for each in (*VECTORS, np.empty(0)))
    data = encode(vectors)
    found = decode(data, vectors)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in vectors] and found[0].dtype == kind
    assert len(data) == size(vectors)


def test_other_shapes_and_types_are_refused() -> None:
    for like in (VECTORS[:1], (VECTORS[0], VECTORS[0]), tuple(each.astype(np.float32) for each in VECTORS), ()):
        with pytest.raises(FormatError, match="canonical"):
            decode(BYTES, like)
    for vectors in ((), (np.zeros((2, 2)),), (np.zeros(2, np.int64),), (np.zeros(2), np.zeros(2, np.float32))):
        with pytest.raises(FormatError, match="kept together"):
            encode(vectors)


@pytest.mark.parametrize("wrong", [b"", BYTES[:-1], BYTES + b"\0", b"X" + BYTES[1:], BYTES[:4] + b"\2" + BYTES[5:]])
def test_malformed_bytes_are_refused(wrong: bytes) -> None:
    with pytest.raises(FormatError):
        decode(wrong, VECTORS)


@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_seen(place: int, change: int) -> None:
    data = bytearray(BYTES)
    data[place] ^= change
    try:
        found = decode(bytes(data), VECTORS)
    except FormatError:
        return
    assert encode(found) == bytes(data) != BYTES


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(FormatError, match="finite"):
        decode(encode((np.array([value]),)), (np.zeros(1),))


def test_own_vectors_are_read_without_knowing_their_shapes() -> None:
    vectors = tuple(each.astype(np.float32) for each in VECTORS)
    assert [each.tolist() for each in read(encode(vectors))] == [each.tolist() for each in vectors]


@pytest.mark.parametrize(
    "data", [b"", BYTES[:11], BYTES[:14], BYTES, encode((np.zeros(2, np.float32),))[:-1], b"HNSV\1\0\4\0\1\0\0\0" + b"\xff" * 8]
)
def test_damaged_own_vectors_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)
