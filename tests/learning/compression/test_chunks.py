import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.learning.compression.chunks import Chunks, check_chunk
from hansa.learning.compression.packing import pack


@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.5, 1e-45]), min_size=1, max_size=60), st.integers(2, 13), st.data())
def test_the_largest_of_each_chunk_by_magnitude_then_index(values: list[float], chunk: int, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, chunk))
    chunks = Chunks(len(values), chunk, keep)
    expected = []
    for start in range(0, len(values), chunk):
        part = values[start : start + chunk]
        most = keep if len(part) == chunk else -(-keep * len(part) // chunk)
        expected += sorted(start + i for i in sorted(range(len(part)), key=lambda i: (-abs(part[i]), i))[:most])
    found = chunks.largest(np.array(values, np.float32))
    assert found.tolist() == expected and found.size == chunks.count
    assert chunks.chunk_of_each().tolist() == [place // chunk for place in expected]
    assert chunks.unpack(chunks.pack(found)).tolist() == expected


def test_of_equal_magnitudes_the_lower_index_is_kept() -> None:
    vector = np.zeros(4096, np.float32)
    vector[1::2], vector[100] = -1.0, 1.0
    assert Chunks(4096, 4096, 64).largest(vector).tolist() == sorted([*range(1, 127, 2), 100])
    assert Chunks(4096, 4096, 64).largest(np.zeros(4096, np.float32)).tolist() == list(range(64))


def test_drawn_coordinates_are_pinned_by_the_seed() -> None:
    chunks = Chunks(2_500_000, 4096, 64)
    drawn = chunks.random(7)
    words = np.random.PCG64(7).random_raw(2_500_000)
    for start in (0, 4096 * 300, 4096 * 610):
        part = words[start : start + 4096]
        expected = np.sort(np.argsort(part)[-(64 * part.size // 4096 + (part.size < 4096)) :]) + start
        assert drawn[(drawn >= start) & (drawn < start + 4096)].tolist() == expected.tolist()
    assert drawn[:5].tolist() == [16, 19, 295, 320, 327] and drawn.size == chunks.count and (np.diff(drawn) > 0).all()
    assert (np.bincount(drawn // 4096)[:-1] == 64).all()
    assert drawn.tolist() != chunks.random(8).tolist()
    with pytest.raises(ValueError, match="read-only"):
        drawn[0] = 1


def test_all_coordinates_are_drawn_equally_often() -> None:
    counts = np.zeros(12)
    for seed in range(3000):
        counts[Chunks(12, 12, 3).random(seed)] += 1
    assert np.abs(counts - 750).max() < 5 * np.sqrt(750)


def indices(*values: int) -> bytes:
    return pack(np.array(values, np.uint16), 12)


def test_an_index_outside_its_chunk_is_refused() -> None:
    # 4096 does not fit 12 bits; in a chunk of 4000, and in the short last one, it could be said.
    assert Chunks(4000, 4000, 2).unpack(indices(0, 3999)).tolist() == [0, 3999]
    with pytest.raises(FormatError, match="4000 of a compressed update is outside its chunk of 4000"):
        Chunks(4000, 4000, 2).unpack(indices(0, 4000))
    short = Chunks(4096 + 2048, 4096, 2)
    assert short.unpack(indices(0, 4095, 2047)).tolist() == [0, 4095, 4096 + 2047]
    with pytest.raises(FormatError, match="outside its chunk of 2048"):
        short.unpack(indices(0, 4095, 2048))


def test_indices_ascend_within_their_chunk_and_begin_again_in_the_next() -> None:
    chunks = Chunks(8192, 4096, 2)
    assert chunks.unpack(indices(5, 9, 0, 1)).tolist() == [5, 9, 4096, 4097]
    for wrong in ((5, 5, 0, 1), (9, 5, 0, 1), (5, 9, 1, 1), (5, 9, 1, 0)):
        with pytest.raises(FormatError, match="do not ascend"):
            chunks.unpack(indices(*wrong))


def test_the_short_last_chunk_keeps_its_share() -> None:
    assert [Chunks(size, 4096, 64).count for size in (1, 64, 65, 4096, 4097, 8192)] == [1, 1, 2, 64, 65, 128]


def test_more_than_a_chunk_cannot_be_kept() -> None:
    with pytest.raises(FormatError, match="65 coordinates of a chunk of 64 cannot be kept; keep 1 to 64"):
        check_chunk(65, 64)
    for keep, chunk in ((0, 64), (1, 1), (1, (1 << 16) + 1)):
        with pytest.raises(FormatError):
            check_chunk(keep, chunk)
    check_chunk(1 << 16, 1 << 16)
