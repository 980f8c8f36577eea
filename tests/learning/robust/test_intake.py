import re

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.robust import (
    AdaptiveClipping,
    AnyRule,
    Bucketing,
    Intake,
    Krum,
    Median,
    MultiKrum,
    NearestNeighbourMixing,
    TrimmedMean,
    remaining,
)

GOOD = {name: np.array([i, -i, 32767, -32767], np.int16) for i, name in enumerate("dbca")}

BAD: dict[str, tuple[object, str]] = {
    "not a number": (np.array([1, np.nan, 0, 0], np.float32), "not finite"),
    "infinite": (np.array([1, 0, -np.inf, 0]), "not finite"),
    "real": (np.ones(4, np.float32), "int16, not float32"),
    "wide": (np.ones(4, np.int32), "int16, not int32"),
    "unsigned": (np.ones(4, np.uint16), "int16, not uint16"),
    "other byte order": (np.ones(4, np.int16).astype(">i2"), "int16, not >i2"),
    "short": (np.ones(3, np.int16), r"shape \(4,\), not \(3,\)"),
    "matrix": (np.ones((2, 2), np.int16), r"shape \(4,\)"),
    "most negative": (np.array([0, 0, 0, -32768], np.int16), "beyond ±32767"),
    "list": ([1, 2, 3, 4], "not list"),
    "nothing": (None, "not NoneType"),
    "objects": (np.array([1, 2, 3, "x"], object), "int16, not object"),
}


def test_rows_come_in_the_order_of_their_names() -> None:
    taken = Intake.of(GOOD, 4)
    assert taken.names == ("a", "b", "c", "d") and not taken.malformed
    assert taken.rows.dtype == np.int16 and taken.rows.flags.c_contiguous
    assert taken.rows[:, 0].tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_row_is_named_and_left_out(name: str) -> None:
    row, reason = BAD[name]
    taken = Intake.of({**GOOD, name: row}, 4)
    assert taken.names == ("a", "b", "c", "d")
    (fault,) = taken.malformed
    assert fault.name == name and re.search(reason, fault.reason)


def test_all_malformed_rows_are_named_in_order_and_nothing_is_changed() -> None:
    candidates = {**GOOD, **{name: row for name, (row, _) in BAD.items()}}
    before = {name: repr(row) for name, row in candidates.items()}
    taken = Intake.of(candidates, 4)
    assert [fault.name for fault in taken.malformed] == sorted(BAD)
    taken.rows[:] = 0
    assert {name: repr(row) for name, row in candidates.items()} == before


def test_wide_rows_and_no_rows() -> None:
    taken = Intake.of({"a": np.full(2, 2**31 - 1, np.int32), "b": np.full(2, -(2**31), np.int32)}, 2, 32)
    assert taken.rows.tolist() == [[2**31 - 1] * 2] and taken.malformed[0].name == "b"
    assert Intake.of({}, 3).rows.shape == (0, 3)
    with pytest.raises(FormatError, match="16 or 32 bits"):
        Intake.of({}, 3, 8)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Median(), Median()),
        (TrimmedMean(3), TrimmedMean(1)),
        (MultiKrum(3, 5), MultiKrum(1, 5)),
        (NearestNeighbourMixing(3, Krum(3)), NearestNeighbourMixing(1, Krum(1))),
        (Bucketing(2, AdaptiveClipping(2, TrimmedMean(2))), Bucketing(2, AdaptiveClipping(0, TrimmedMean(0)))),
    ],
)
def test_malformed_rows_count_against_f(rule: AnyRule, left: AnyRule) -> None:
    assert remaining(rule, 2) == left and remaining(rule, 0) == rule


def test_more_malformed_rows_than_f_leave_no_rule() -> None:
    with pytest.raises(ProtocolError, match="4 rows were malformed, but the rule tolerates f=3"):
        remaining(TrimmedMean(3), 4)


def test_a_round_with_malformed_rows_ends_as_it_would_without_them() -> None:
    random = np.random.default_rng(0)
    rows = {f"client {i}": random.integers(-100, 100, 6).astype(np.int16) for i in range(9)}
    taken = Intake.of({**rows, "x": np.full(6, np.nan), "y": np.zeros(1, np.int16)}, 6)
    rule = remaining(TrimmedMean(3), len(taken.malformed))
    assert rule == TrimmedMean(1)
    assert rule.apply(taken.rows).values.tolist() == TrimmedMean(1).apply(np.stack([rows[name] for name in sorted(rows)])).values.tolist()
