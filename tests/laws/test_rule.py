"""Laws of every robust rule: exact, the same on both paths, blind to the order of rows, and refusing what is not enough."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import AnyRule, Bucketing, Combined
from hansa.model import compiled
from tests.learning.robust.cases import KINDS, SHAPES, extreme, normal, rules
from tests.learning.robust.oracles import answer, exact, is_exact, value

RULES = rules(2)
NEVER, ALWAYS = 1 << 62, 0


def named(rule: AnyRule) -> str:
    inner = getattr(rule, "rule", None)
    return str(rule.__struct_config__.tag) + (f" of {named(inner)}" if inner else "")


def same(a: Combined, b: Combined) -> bool:
    return a.values.tobytes() == b.values.tobytes() and (a.weight, a.count, a.left_out) == (b.weight, b.count, b.left_out)


@pytest.fixture(params=RULES, ids=[f"{i} {named(rule)}" for i, rule in enumerate(RULES)])
def rule(request: pytest.FixtureRequest) -> AnyRule:
    return request.param


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [12, 13])
def test_the_result_is_the_definitions(rule: AnyRule, kind: type, shape: str, rows: int) -> None:
    matrix = SHAPES[shape](rows, 9, kind)
    combined = rule.apply(matrix, 5)
    expected = answer(rule, exact(matrix), 5)
    if is_exact(rule):
        assert value(combined) == expected
    else:
        # Weights are rounded to 20 binary digits per row, so a result may be off by so much of the rows' spread.
        gap = np.abs(np.array([float(each) for each in value(combined)]) - np.array([float(each) for each in expected]))
        assert gap.max() <= np.iinfo(kind).max * 2.0**-17


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("columns", [1, 63, 65, 200])
def test_both_paths_give_the_same_bits(rule: AnyRule, kind: type, shape: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = SHAPES[shape](12, columns, kind)
    monkeypatch.setattr(compiled, "LONG", NEVER)
    plain = rule.apply(matrix, 7)
    monkeypatch.setattr(compiled, "LONG", ALWAYS)
    assert same(plain, rule.apply(matrix, 7))


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_fits_an_aggregate(rule: AnyRule, kind: type) -> None:
    for matrix in (normal(13, 40, kind), extreme(12, 40, kind), np.full((11, 3), np.iinfo(kind).max, kind)):
        combined = rule.apply(matrix)
        assert combined.values.dtype == np.int64 and combined.values.shape == (matrix.shape[1],)
        assert 1 <= combined.count <= combined.weight <= combined.count << 20
        assert int(np.abs(combined.values).max()) <= combined.weight * np.iinfo(kind).max
        assert list(combined.left_out) == sorted(set(combined.left_out)) and set(combined.left_out) < set(range(len(matrix)))


def test_rows_are_not_changed(rule: AnyRule) -> None:
    matrix = normal(12, 50, np.int16)
    kept = matrix.copy()
    matrix.flags.writeable = False
    rule.apply(matrix)
    assert (matrix == kept).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [rule for rule in RULES if not isinstance(rule, Bucketing)], ids=named)
def test_the_order_of_rows_does_not_matter_but_to_buckets_which_are_drawn_by_place(rule: AnyRule, kind: type) -> None:
    matrix = normal(13, 40, kind, 3)
    order = np.random.default_rng(1).permutation(13)
    first, second = rule.apply(matrix), rule.apply(np.ascontiguousarray(matrix[order]))
    assert first.values.tobytes() == second.values.tobytes() and (first.weight, first.count) == (second.weight, second.count)
    assert sorted(order[i] for i in second.left_out) == list(first.left_out)


def test_equal_rows_give_that_row(rule: AnyRule) -> None:
    row = normal(1, 30, np.int16)
    combined = rule.apply(np.repeat(row, 12, axis=0))
    assert (combined.values == row[0].astype(np.int64) * combined.weight).all()


@pytest.mark.parametrize("rows", [3, 4, 7])
def test_without_bad_rows_to_tolerate_every_rule_runs(rows: int) -> None:
    for rule in rules(0):
        matrix = normal(rows, 20, np.int16)
        try:
            rule.check(rows)
        except ProtocolError:
            assert isinstance(rule, Bucketing)
        else:
            assert rule.apply(matrix).values.shape == (20,)


def test_too_few_rows_are_refused_in_one_sentence(rule: AnyRule) -> None:
    least = next(rows for rows in range(1, 40) if passes(rule, rows))
    assert all(passes(rule, rows) for rows in range(least, 40))
    if least > 1:
        with pytest.raises(ProtocolError, match=r"needs at least|cannot average") as caught:
            rule.apply(normal(least - 1, 8, np.int16))
        assert "\n" not in str(caught.value)
    rule.apply(normal(least, 8, np.int16))


def passes(rule: AnyRule, rows: int) -> bool:
    try:
        rule.check(rows)
    except ProtocolError:
        return False
    return True


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((12, 8)),
        np.full((12, 8), np.nan, np.float32),
        np.zeros((12, 8), np.int64),
        np.zeros((12, 8), np.uint16),
        np.zeros(12, np.int16),
        np.zeros((12, 0), np.int16),
        np.zeros((0, 12), np.int16),
        np.zeros((12, 16), np.int16)[:, ::2],
        np.zeros((8, 12), np.int16).T,
    ],
    ids=str,
)
def test_other_types_and_shapes_are_refused(rule: AnyRule, matrix: np.ndarray) -> None:
    with pytest.raises(FormatError, match="C-contiguous matrix"):
        rule.apply(matrix)


def test_more_rows_than_sums_have_room_for_are_refused(rule: AnyRule) -> None:
    with pytest.raises(ProtocolError, match="at most 2047"):
        rule.apply(np.zeros((2048, 1), np.int16))


def test_a_rule_stands_in_a_specification(rule: AnyRule) -> None:
    text = msgspec.json.encode(rule)
    assert msgspec.json.decode(text, type=AnyRule) == rule
    fields = msgspec.json.decode(text)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({**fields, "unknown": 1}), type=AnyRule)


def test_numbers_out_of_bounds_are_refused(rule: AnyRule) -> None:
    for field in {"f", "bound", "iterations", "size", "m"} & set(rule.__struct_fields__):
        for wrong in (-1, 1 << 60):
            with pytest.raises(FormatError):
                msgspec.structs.replace(rule, **{field: wrong})
