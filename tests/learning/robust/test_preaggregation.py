from fractions import Fraction

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import (
    AdaptiveClipping,
    Bucketing,
    Krum,
    Mean,
    Median,
    NearestNeighbourMixing,
    TrimmedMean,
)
from tests.learning.robust.cases import normal
from tests.learning.robust.oracles import adaptively_clipped, buckets, exact, mean, median, value


def line(*points: int) -> np.ndarray:
    return np.array(points, np.int16)[:, None]


def test_a_row_is_among_its_own_nearest() -> None:
    # Each of 0, 1, 10 mixes with its nearest other: 0.5, 0.5, 5.5.
    combined = NearestNeighbourMixing(1, Mean()).apply(line(0, 1, 10))
    assert value(combined) == [Fraction(13, 6)] and combined.left_out == ()


def test_mixing_leaves_out_whom_nobody_is_near() -> None:
    combined = NearestNeighbourMixing(1, Krum(1)).apply(line(0, 1, 2, 3, 1000))
    assert value(combined) == [Fraction(6, 4)] and combined.left_out == (4,) and combined.count == 4


def test_of_equally_near_rows_the_first_are_taken() -> None:
    combined = NearestNeighbourMixing(1, Median()).apply(line(0, 5, 10))
    # 5 is as near to 0 as to 10 and takes 0.
    assert value(combined) == [Fraction(5, 2)]


def test_the_wrapped_rule_must_tolerate_as_many() -> None:
    for wrapper in (NearestNeighbourMixing, AdaptiveClipping):
        for rule in (TrimmedMean(2), Bucketing(2, Krum(2)), NearestNeighbourMixing(2, Mean())):
            wrapper(2, rule)
            with pytest.raises(FormatError, match="give both the same f"):
                wrapper(3, rule)


def test_the_wrapped_rule_is_asked_too() -> None:
    NearestNeighbourMixing(2, TrimmedMean(2)).check(5)
    with pytest.raises(ProtocolError, match="Krum with f=2 needs at least 7 rows, not 5"):
        NearestNeighbourMixing(2, Krum(2)).check(5)
    with pytest.raises(ProtocolError, match="mixing with f=2 needs at least 5 rows"):
        NearestNeighbourMixing(2, Median()).check(4)


@pytest.mark.parametrize(("rows", "size"), [(12, 3), (13, 3), (7, 2), (5, 1), (4, 9)])
def test_buckets_hold_every_row_once(rows: int, size: int) -> None:
    matrix = normal(rows, 20, np.int16)
    for seed in range(3):
        made = buckets(exact(matrix), size, seed)
        assert value(Bucketing(size, Median()).apply(matrix, seed)) == median(made)
        assert value(Bucketing(size, Mean()).apply(matrix, seed)) == mean(made)


def test_buckets_are_drawn_anew_with_every_seed() -> None:
    matrix = normal(12, 20, np.int16)
    results = {Bucketing(2, Median()).apply(matrix, seed).values.tobytes() for seed in range(10)}
    assert len(results) == 10


def test_f_bad_rows_spoil_f_buckets_and_the_rule_must_bear_them() -> None:
    Bucketing(2, TrimmedMean(3)).check(13)
    with pytest.raises(
        ProtocolError, match=r"12 rows make 6 buckets of 2, too few: .* f=3 needs at least 7 rows, not 6; .*smaller buckets"
    ):
        Bucketing(2, TrimmedMean(3)).check(12)


@pytest.mark.parametrize(("rows", "f"), [(7, 2), (12, 3), (5, 0)])
def test_adaptive_clipping_shortens_the_longest_to_the_next(rows: int, f: int) -> None:
    matrix = normal(rows, 20, np.int16, 2)
    clipped = adaptively_clipped(exact(matrix), f)
    assert value(AdaptiveClipping(f, Mean()).apply(matrix)) == mean(clipped)
    assert value(AdaptiveClipping(f, Median()).apply(matrix)) == median(clipped)
    assert value(AdaptiveClipping(f, TrimmedMean(f)).apply(matrix)) != [] and len(clipped) == rows


def test_adaptive_clipping_has_no_use_for_rows_it_cannot_tell_apart() -> None:
    AdaptiveClipping(2, Mean()).check(5)
    with pytest.raises(ProtocolError, match="adaptive clipping with f=2 needs at least 5 rows"):
        AdaptiveClipping(2, Mean()).check(4)


def test_wrapping_that_needs_more_than_64_bits_is_refused_not_wrong() -> None:
    matrix = normal(7, 5, np.int32)
    deep = AdaptiveClipping(2, AdaptiveClipping(2, Median()))
    with pytest.raises(ProtocolError, match="more than 62 bits"):
        deep.apply(matrix)
    deep.apply(normal(7, 5, np.int16))
    with pytest.raises(ProtocolError, match="more than 62 bits"):
        AdaptiveClipping(2, deep).apply(normal(7, 5, np.int16))
