import itertools

import pytest

from hansa.core.errors import ProtocolError
from hansa.learning.topology.draw import draw, permutation, shuffled

NAMES = ("a", "b", "c", "d")


def test_the_order_of_arrival_plays_no_part() -> None:
    assert {shuffled(names, "x", 7) for names in itertools.permutations(NAMES)} == {shuffled(NAMES, "x", 7)}


def test_every_order_comes_up_about_equally_often() -> None:
    counts: dict[tuple[str, ...], int] = {}
    for seed in range(4800):
        order = shuffled(NAMES, "uniform", seed)
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 49.7  # chi-squared, 23 degrees of freedom, 0.1 %


def test_contexts_do_not_run_into_each_other() -> None:
    assert draw("a", "bc") != draw("ab", "c") and draw("1") != draw(1)


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(50, "p", 1)) == list(range(50)) and permutation(50, "p", 1) != permutation(50, "p", 2)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="listed twice"):
        shuffled(["a", "b", "a"], 1)
