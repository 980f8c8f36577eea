from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import CentredClipping, Combined, Mean, NormClipping
from hansa.learning.robust.clipping import shortening
from tests.learning.robust.cases import KINDS, normal
from tests.learning.robust.oracles import centred, exact


def square(combined: Combined) -> Fraction:
    return Fraction(sum(each * each for each in combined.values.tolist()), combined.weight**2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", ["norm", "centred"])
def test_no_row_moves_the_result_by_more_than_its_share(kind: type, rule: str) -> None:
    bound, rows = 1000, np.full((5, 60), np.iinfo(kind).max, kind)
    clipped = NormClipping(bound) if rule == "norm" else CentredClipping(2, bound, 1)
    assert square(clipped.apply(rows)) <= bound**2
    rows[1:] = 0
    assert square(clipped.apply(rows)) <= Fraction(bound, 5) ** 2


@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_rows_within_the_bound_are_averaged_exactly(iterations: int) -> None:
    rows = normal(7, 30, np.int16)
    mean = Mean().apply(rows)
    for rule in (NormClipping(1 << 40), CentredClipping(3, 1 << 40, iterations)):
        combined = rule.apply(rows)
        assert combined.values.tolist() == mean.values.tolist() and combined.weight == mean.weight == combined.count


def test_a_row_exactly_as_long_as_the_bound_is_whole_and_one_longer_is_not() -> None:
    rows = np.array([[3, 4]], np.int16)
    assert NormClipping(5).apply(rows).values.tolist() == [3, 4]
    assert NormClipping(4).apply(rows).weight > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iterations", [1, 4])
def test_centred_clipping_is_its_definition_to_the_digits_of_a_weight(kind: type, iterations: int) -> None:
    rows = normal(9, 40, kind)
    bound = int(np.iinfo(kind).max) // 2
    combined = CentredClipping(2, bound, iterations).apply(rows)
    gap = np.abs(combined.values / combined.weight - centred(exact(rows), bound, iterations)).max()
    assert gap < np.iinfo(kind).max * 2.0**-18


def test_rows_beyond_all_measure_leave_nothing_rather_than_fail() -> None:
    rows = np.full((3, 1 << 12), 2**31 - 1, np.int32)
    combined = NormClipping(1).apply(rows)
    assert not combined.values.any() and (combined.weight, combined.count, combined.left_out) == (1, 1, (0, 1, 2))


def test_factors_are_rounded_down() -> None:
    for length in (1, 2, 999, 10**9, 10**18):
        for bound in (1, 7, 10**6):
            factor = shortening(bound, length * length + 1, 30)
            exact_square = Fraction(bound**2 << 60, length * length + 1)
            assert factor == (1 << 30 if length * length + 1 <= bound**2 else isqrt(int(exact_square)))


def test_bounds() -> None:
    for wrong in (0, -5, (1 << 48) + 1):
        with pytest.raises(FormatError, match="quantisation steps"):
            NormClipping(wrong)
    with pytest.raises(FormatError, match="1 to 200 iterations"):
        CentredClipping(1, 5, 0)
    with pytest.raises(ProtocolError, match="f=2 needs at least 5 rows"):
        CentredClipping(2, 5, 1).check(4)
