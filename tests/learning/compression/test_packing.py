import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.learning.compression.packing import pack, packed_size, unpack


@given(st.integers(1, 16), st.data())
def test_codes_lie_side_by_side_from_the_lowest_bit_on(width: int, data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(0, (1 << width) - 1), max_size=40))
    number = sum(code << (place * width) for place, code in enumerate(codes))
    packed = pack(np.array(codes, np.uint16), width)
    assert packed == number.to_bytes(packed_size(len(codes), width), "little")
    assert unpack(packed, len(codes), width).tolist() == codes


def test_the_codes_are_bytes_up_to_eight_bits_and_two_above() -> None:
    for width in range(1, 17):
        found = unpack(bytes(packed_size(3, width)), 3, width)
        assert found.dtype == (np.uint8 if width <= 8 else np.uint16) and found.shape == (3,)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 12])
def test_bits_after_the_last_code_must_be_zero(width: int) -> None:
    count = 3
    used = count * width % 8
    for bit in range(used, 8):
        packed = bytearray(packed_size(count, width))
        packed[-1] = 1 << bit
        with pytest.raises(FormatError, match="after the last code"):
            unpack(bytes(packed), count, width)


def test_the_length_is_exact() -> None:
    for data in (b"", b"\0", bytes(3)):
        with pytest.raises(FormatError, match="fill 2 bytes"):
            unpack(data, 5, 3)
