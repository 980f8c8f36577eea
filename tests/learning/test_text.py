import numpy as np
import pytest

from hansa.core.errors import DataError
from hansa.learning.text import windows


def test_each_byte_but_the_first_is_predicted_once() -> None:
    text = bytes(range(10, 20))
    examples = windows(text, 3)
    assert examples.features.tolist() == [[10, 11, 12, 13], [13, 14, 15, 16], [16, 17, 18, 19]]
    assert examples.features.dtype == np.float32 and examples.labels.tolist() == [0, 0, 0] and examples.labels.dtype == np.int64


def test_a_stride_makes_windows_overlap_and_a_rest_is_dropped() -> None:
    assert windows(b"abcdef", 3, 2).features.tolist() == [[97, 98, 99, 100], [99, 100, 101, 102]]
    assert windows(b"abcde", 3, 2).features.tolist() == [[97, 98, 99, 100]]
    assert windows(b"\xff\x00", 1).features.tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("text", "context", "stride", "sentence"),
    [
        (b"abc", 3, None, "too short"),
        (b"", 1, None, "too short"),
        (b"abc", 0, None, "at least 1"),
        (b"abc", 1, 0, "at least 1"),
        (bytes(1 << 20), 1 << 13, 1, "larger stride"),
    ],
)
def test_what_cannot_be_cut_is_refused(text: bytes, context: int, stride: int | None, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        windows(text, context, stride)
