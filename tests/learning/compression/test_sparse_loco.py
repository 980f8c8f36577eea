import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.packing import pack
from hansa.learning.compression.sparse_loco import GROUP, SparseLoco
from hansa.model.layout import Layout, Tensor
from hansa.model.update import uniform_scales

LAYOUT = Layout((Tensor("a", (10,)), Tensor("b", (6,))))
GRID = Grid(LAYOUT, (1.0, 1.0))
LOCO = SparseLoco(keep=3, chunk=8)


def made(codebook: list[int], indices: list[int], codes: list[int]) -> bytes:
    return np.array(codebook, "<i2").tobytes() + pack(np.array(indices, np.uint8), 3) + pack(np.array(codes, np.uint8), 2)


def test_a_small_update_by_hand() -> None:
    value = np.array([9, 1, -2, 10, 0, 0, 0, 0, 0, 100, 0, -3, 0, 0, 0, 11], np.float32)
    data, (error,), _ = LOCO.encode(GRID, value, LOCO.initial(LAYOUT), 0)
    # Kept: 9, -2, 10 and 100, -3, 11. Above zero 100 is far from the mean 10 of the others; below it, -3 from -2.
    assert data == made([-3, -2, 10, 100], [0, 2, 3, 1, 3, 7], [2, 1, 2, 3, 0, 2])
    assert LOCO.decode(GRID, data, 0).tolist() == [10, 0, -2, 10, 0, 0, 0, 0, 0, 100, 0, -3, 0, 0, 0, 10]
    assert error.tolist() == [-1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_side_with_one_magnitude_has_one_value_twice() -> None:
    value = np.array([4, -4, 4, 0, 0, 0, 0, 0] * 2, np.float32)
    data = LOCO.encode(GRID, value, LOCO.initial(LAYOUT), 0)[0]
    assert data[:8] == np.array([-4, -4, 4, 4], "<i2").tobytes()
    assert LOCO.decode(GRID, data, 0).tolist() == value.tolist()


@pytest.mark.parametrize("codebook", [[-1, -2, 1, 2], [-2, -1, 2, 1], [-2, 1, 1, 2], [-2, -1, -1, 2], [2, 2, 2, 2], [-32768, -1, 1, 2]])
def test_codebooks_that_do_not_ascend_through_zero_are_refused(codebook: list[int]) -> None:
    LOCO.decode(GRID, made([-2, -1, 1, 2], [0, 1, 2, 0, 1, 2], [0] * 6), 0)
    with pytest.raises(FormatError):
        LOCO.decode(GRID, made(codebook, [0, 1, 2, 0, 1, 2], [0] * 6), 0)


def test_padding_bits_are_zero() -> None:
    data = bytearray(made([-2, -1, 1, 2], [0, 1, 2, 0, 1, 2], [0] * 6))
    for place, bit in ((10, 0x04), (10, 0x80), (12, 0x10), (12, 0x80)):
        data[place] |= bit
        with pytest.raises(FormatError, match="after the last code"):
            LOCO.decode(GRID, bytes(data), 0)
        data[place] &= ~bit


def test_each_group_of_chunks_has_its_own_codebook() -> None:
    layout = Layout((Tensor("a", (8 * GROUP,)), Tensor("b", (8,))))
    grid = Grid(layout, (1.0, 1.0))
    value = np.concatenate([np.tile([5, -5, 5, 0, 0, 0, 0, 0], GROUP), [500, -500, 500, 0, 0, 0, 0, 0]]).astype(np.float32)
    data = LOCO.encode(grid, value, LOCO.initial(layout), 0)[0]
    assert np.frombuffer(data, "<i2", 8).tolist() == [-5, -5, 5, 5, -500, -500, 500, 500]
    assert LOCO.decode(grid, data, 0).tolist() == value.tolist()


def test_means_of_large_integers_are_exact() -> None:
    grid = Grid(LAYOUT, (1.0, 1.0), 32)
    value = np.zeros(16, np.float32)
    value[:3], value[8:11] = 2.0**30, 2.0**30 + 128
    data = SparseLoco(keep=3, chunk=8, decay=0.0).encode(grid, value, (), 0)[0]
    assert np.frombuffer(data, "<i4", 4).tolist() == [0, 0, 1 << 30, (1 << 30) + 128]


def test_the_published_size_is_kept() -> None:
    layout = Layout((Tensor("a", (1 << 20,)), Tensor("b", (77,))))
    grid = Grid(layout, uniform_scales(layout, 1.0))
    value = (np.random.Generator(np.random.PCG64(1)).standard_t(4, layout.size) * 0.01).astype(np.float32)
    data, (error,), _ = SparseLoco().encode(grid, value, SparseLoco().initial(layout), 0)
    assert len(data) == SparseLoco().limit(grid) and 4 * layout.size / len(data) > 145
    # 1.6 % of the coordinates carry much more of what there is to say.
    assert float(np.square(error).sum()) < 0.78 * float(np.square(value).sum())


def test_more_than_a_chunk_cannot_be_kept() -> None:
    with pytest.raises(FormatError, match="4097 coordinates of a chunk of 4096 cannot be kept"):
        SparseLoco(keep=4097)
    with pytest.raises(FormatError, match="decay"):
        SparseLoco(decay=1.5)
