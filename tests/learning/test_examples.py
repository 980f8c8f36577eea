import numpy as np
import pytest

from hansa.core.errors import DataError, FormatError
from hansa.learning.examples import Examples, digest, split


def rows(count: int = 20, kind: type = np.int64) -> Examples:
    return Examples(np.arange(2 * count, dtype=np.float32).reshape(count, 2), (np.arange(count) % 4 == 0).astype(kind))


def test_digest_is_frozen_and_depends_on_salt_and_content() -> None:
    salt = bytes(range(32))
    assert digest(rows(), salt).hex() == "1d073086299bb3481358c842acdea9bbd1cf0beeb487f2c443746c3b901fd54f"
    swapped = rows().take(np.array([1, 0, *range(2, 20)]))
    wide = Examples(rows().features.reshape(10, 4), rows(10).labels)
    others = [
        digest(rows(), bytes(32)),
        digest(swapped, salt),
        digest(rows(kind=np.float32), salt),
        digest(rows(19), salt),
        digest(wide, salt),
    ]
    assert len({digest(rows(), salt), *others}) == 6


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_r17_a_short_salt_is_refused(salt: bytes) -> None:
    with pytest.raises(FormatError, match="32 bytes"):
        digest(rows(), salt)


def test_a_split_is_disjoint_complete_seeded_and_stratified() -> None:
    first, second = split(rows(), 0.6, 7)
    assert sorted([*first.features[:, 0], *second.features[:, 0]]) == rows().features[:, 0].tolist()
    assert (first.labels.sum(), second.labels.sum()) == (3, 2)
    assert (split(rows(), 0.6, 7)[0].features == first.features).all()
    assert (split(rows(), 0.6, 8)[0].features != first.features).any()


def test_rare_classes_and_numbers_are_split_without_stratification() -> None:
    rare = Examples(rows().features, np.array([1] + [0] * 19))
    assert [len(part) for part in split(rare, 0.6, 7)] == [12, 8]
    assert [len(part) for part in split(rows(kind=np.float32), 0.6, 7)] == [12, 8]


@pytest.mark.parametrize(("share", "seed"), [(0.0, 1), (1.0, 1), (0.5, -1), (0.5, 1 << 32)])
def test_impossible_splits_are_refused(share: float, seed: int) -> None:
    with pytest.raises(DataError, match="a split needs"):
        split(rows(), share, seed)


def test_too_few_rows_to_split_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        split(rows(1), 0.5, 1)


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.zeros((0, 2), np.float32), np.zeros(0, np.int64)),
        (np.zeros((2, 0), np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 2)), np.zeros(2, np.int64)),
        (np.zeros(2, np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 2), np.float32), np.zeros(3, np.int64)),
        (np.zeros((2, 2), np.float32), np.zeros(2, np.int32)),
        (np.full((2, 2), np.nan, np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 2), np.float32), np.full(2, np.inf, np.float32)),
    ],
)
def test_misshapen_rows_are_refused(features: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(DataError):
        Examples(features, labels)
