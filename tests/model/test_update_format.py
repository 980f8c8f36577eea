import dataclasses
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.encoding import sha256
from hansa.core.errors import FormatError
from hansa.core.types import Digest
from hansa.model.layout import Layout, Tensor
from hansa.model.update import MAX_WEIGHT, Integers, Update
from hansa.model.update_format import UpdateFormat

LAYOUT = Layout((Tensor("bias", (2,)), Tensor("weight", (2, 3))))
SCALES = (2.0**-10, 2.0**-12)
VALUES = np.array([1, -2, 3, -4, 5, -32767, 32767, 0], np.int16)
UPDATE = Update(LAYOUT, SCALES, VALUES, 7)
DATASET = Digest(bytes(range(32)))
FORMAT = UpdateFormat(5, 3, Digest(b"b" * 32), Digest(b"s" * 32), LAYOUT, SCALES, 16, 1000)
BYTES = FORMAT.encode(UPDATE, DATASET)


def test_bytes_are_frozen() -> None:
    head = b"HNSU" + struct.pack("<HHQII", 1, 16, 5, 3, 7) + b"b" * 32 + LAYOUT.digest() + b"s" * 32 + DATASET
    assert BYTES == head + VALUES.astype("<i2").tobytes() and len(BYTES) == FORMAT.limit
    assert sha256(BYTES).hex() == "330146a0f9c3a7ab0f2b3242225a9730897f9faa110749b50676fd18664c54ea"


def test_bytes_come_back_without_a_copy() -> None:
    header, update = FORMAT.decode(memoryview(BYTES))
    assert (header.job, header.round, header.dataset, header.weight, header.bits) == (5, 3, DATASET, 7, 16)
    assert update.digest() == UPDATE.digest()
    assert np.shares_memory(update.values, np.frombuffer(BYTES, np.uint8))


OTHER = Layout((Tensor("bias", (2,)), Tensor("weight", (3, 2))))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"job": 6}, "job is 5"),
        ({"round": 4}, "round is 3"),
        ({"base": b"c" * 32}, "base model is"),
        ({"spec": b"c" * 32}, "spec is"),
        ({"layout": OTHER}, "layout is"),
        ({"max_weight": 6}, "weight is 7"),
        ({"bits": 32}, "bytes was sent"),
    ],
)
def test_an_update_for_something_else_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        dataclasses.replace(FORMAT, **change).decode(BYTES)


def patched(offset: int, new: bytes) -> bytes:
    return BYTES[:offset] + new + BYTES[offset + len(new) :]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "bytes was sent"),
        (BYTES[:-1], "bytes was sent"),
        (BYTES + b"\0", "bytes was sent"),
        (patched(0, b"X"), "format is"),
        (patched(4, b"\2"), "format version is 2"),
        (patched(6, b"\x20"), "bits is 32"),
        (patched(20, b"\0\0\0\0"), "weight is 0"),
        (patched(20, b"\xff\xff\xff\xff"), "weight is 4294967295"),
        (patched(len(BYTES) - 2, b"\x00\x80"), "lie between"),
    ],
)
def test_malformed_updates_get_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence) as caught:
        FORMAT.decode(data)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        FORMAT.decode(data)


@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_seen_in_what_is_decoded(place: int, change: int) -> None:
    data = bytearray(BYTES)
    data[place] ^= change
    try:
        header, update = FORMAT.decode(bytes(data))
    except FormatError:
        return
    assert (header.dataset, update.digest()) != (DATASET, UPDATE.digest())
    assert FORMAT.encode(update, Digest(header.dataset)) == bytes(data)


def test_an_update_of_another_round_is_not_encoded() -> None:
    for other in (Update(LAYOUT, SCALES, VALUES, 1001), Update(LAYOUT, (1.0, 1.0), VALUES, 7), Update(OTHER, SCALES, VALUES, 7)):
        with pytest.raises(FormatError, match="not those of the round"):
            FORMAT.encode(other, DATASET)
    with pytest.raises(FormatError, match="32 bytes"):
        FORMAT.encode(UPDATE, Digest(b"short"))


@pytest.mark.parametrize("change", [{"base": b"short"}, {"spec": b""}, {"max_weight": 0}, {"max_weight": MAX_WEIGHT + 1}, {"bits": 8}])
def test_a_format_with_impossible_parts_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(FORMAT, **change)


class Repeated:
    """All values are one, sent once."""

    limit = 2

    def unpack(self, data: bytes | memoryview) -> Integers:
        if len(data) != 2:
            raise FormatError("a repeated value has 2 bytes")
        return np.full(8, int.from_bytes(data, "little", signed=True), np.int16)


PACKED = dataclasses.replace(FORMAT, packing=Repeated())


def test_a_packed_update_comes_back_as_integers() -> None:
    same = Update(LAYOUT, SCALES, np.full(8, -3, np.int16), 2)
    data = PACKED.encode(same, DATASET, b"\xfd\xff")
    assert len(data) == PACKED.limit and PACKED.decode(data)[1].digest() == same.digest()


def test_a_packed_update_is_refused_by_its_length_and_by_its_packing() -> None:
    same = Update(LAYOUT, SCALES, np.full(8, -3, np.int16), 2)
    data = PACKED.encode(same, DATASET, b"\xfd\xff")
    for wrong, sentence in ((data + b"\0", "bytes was sent"), (data[:-1], "has 2 bytes"), (data[:40], "bytes was sent")):
        with pytest.raises(FormatError, match=sentence):
            PACKED.decode(wrong)
    with pytest.raises(FormatError, match="lie between"):
        PACKED.decode(data[:-2] + b"\x00\x80")
    for format, payload in ((PACKED, None), (FORMAT, b"\xfd\xff")):
        with pytest.raises(FormatError, match="exactly where"):
            format.encode(same, DATASET, payload)


def test_a_packing_of_another_width_is_refused() -> None:
    with pytest.raises(FormatError, match="int16 where the round has 32 bits"):
        dataclasses.replace(PACKED, bits=32).decode(
            PACKED.encode(Update(LAYOUT, SCALES, np.full(8, -3, np.int16), 2), DATASET, b"\xfd\xff").replace(
                struct.pack("<H", 16), struct.pack("<H", 32), 1
            )
        )
