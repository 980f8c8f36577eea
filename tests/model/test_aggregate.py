import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError, ProtocolError
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout, Tensor
from hansa.model.update import MAX_WEIGHT, Update

LAYOUT = Layout((Tensor("a", (3,)), Tensor("b", (1,))))
SCALES = (0.5, 0.25)


def update(weight: int, *values: int, kind: type = np.int16) -> Update:
    return Update(LAYOUT, SCALES, np.array(values, kind), weight)


UPDATES = [update(1, 1, 2, 3, 4), update(10, -1, 0, 32767, -32767), update(100, 5, -5, 7, 0)]


def test_the_sum_is_weighted_and_exact() -> None:
    total = Aggregate.of(UPDATES)
    assert total.values.tolist() == [1 - 10 + 500, 2 - 500, 3 + 327670 + 700, 4 - 327670]
    assert (total.weight, total.count, total.bits) == (111, 3, 16)


@given(st.permutations(range(3)), st.integers(1, 2))
def test_order_and_grouping_do_not_matter(order: list[int], cut: int) -> None:
    updates = [UPDATES[i] for i in order]
    parts = Aggregate.of(updates[:cut]) + Aggregate.of(updates[cut:])
    assert parts.encode() == Aggregate.of(UPDATES).encode()


def test_digest_and_bytes_are_frozen() -> None:
    total = Aggregate.of(UPDATES)
    head = b"HNSA" + struct.pack("<HHQII", 1, 16, 111, 3, 0) + LAYOUT.digest()
    assert total.encode() == head + struct.pack("<4q", *total.values.tolist())
    assert total.digest().hex() == "7e44bb98a8f23ec372e0f00aec85bde1c618b5d1368a351e37f4f13413816483"


def test_bytes_come_back() -> None:
    total = Aggregate.of(UPDATES)
    assert Aggregate.decode(total.encode(), LAYOUT, SCALES, 16).encode() == total.encode()


def test_inputs_are_not_changed() -> None:
    before = [u.digest() for u in UPDATES]
    Aggregate.of(UPDATES)
    assert [u.digest() for u in UPDATES] == before


def test_nothing_to_sum_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no update"):
        Aggregate.of([])


def test_updates_that_do_not_belong_together_are_refused() -> None:
    for other in (update(1, 1, 1, 1, 1, kind=np.int32), Update(LAYOUT, (0.5, 0.5), UPDATES[0].values, 1)):
        with pytest.raises(ProtocolError, match="cannot be summed"):
            Aggregate.of([UPDATES[0], other])
        with pytest.raises(ProtocolError, match="cannot be summed"):
            Aggregate.of([UPDATES[0]]) + Aggregate.of([other])


def test_r12_a_sum_that_could_leave_the_range_is_refused() -> None:
    heavy = update(MAX_WEIGHT, *(2**31 - 1,) * 4, kind=np.int32)
    assert Aggregate.of([heavy] * 2047).values[0] == 2047 * MAX_WEIGHT * (2**31 - 1)
    with pytest.raises(ProtocolError, match="can exceed"):
        Aggregate.of([heavy] * 2049)
    half = Aggregate.of([heavy] * 1500)
    with pytest.raises(FormatError, match="can exceed"):
        half + half


BYTES = Aggregate.of(UPDATES).encode()


def patched(offset: int, new: bytes) -> bytes:
    return BYTES[:offset] + new + BYTES[offset + len(new) :]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "bytes was sent"),
        (BYTES[:-8], "bytes was sent"),
        (patched(0, b"X"), "not an aggregate"),
        (patched(4, b"\2"), "not an aggregate"),
        (patched(20, b"\1"), "not an aggregate"),
        (patched(6, b"\x20"), "bits or layout"),
        (patched(30, b"\xff\xff"), "bits or layout"),
        (patched(8, b"\0"), "total weight"),
        (patched(16, b"\0"), "total weight"),
        (patched(16, b"\xff"), "total weight"),
        (patched(len(BYTES) - 8, struct.pack("<q", 111 * 32767 + 1)), "does not allow"),
        (patched(len(BYTES) - 8, struct.pack("<q", -(1 << 63))), "does not allow"),
        (patched(8, struct.pack("<QI", 1 << 51, 0xFFFFFFFF)), "can exceed"),
    ],
)
def test_malformed_aggregates_get_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        Aggregate.decode(data, LAYOUT, SCALES, 16)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        Aggregate.decode(data, LAYOUT, SCALES, 16)


@pytest.mark.parametrize("values", [np.zeros(4, np.int32), np.zeros(3, np.int64), np.zeros(4)])
def test_other_types_and_shapes_are_refused(values: np.ndarray) -> None:
    with pytest.raises(FormatError, match="must be int64"):
        Aggregate(LAYOUT, SCALES, 16, values, 1, 1)
