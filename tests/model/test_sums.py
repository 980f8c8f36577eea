import numpy as np
import pytest

from hansa.model import compiled
from hansa.model.sums import MAX_WEIGHT, mixed, weighted_sum

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=[0, 1 << 62], ids=["compiled", "numpy"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LONG", request.param)


def sample(count: int, columns: int, kind: type) -> list[np.ndarray]:
    top = np.iinfo(kind).max
    return [np.concatenate([[-top, top][:columns], RANDOM.integers(-top, top, max(columns - 2, 0))]).astype(kind) for _ in range(count)]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 1000, 20_000])
def test_sums_are_exact(kind: type, columns: int) -> None:
    for count in (1, 2, 7):
        rows = sample(count, columns, kind)
        weights = [int(each) for each in RANDOM.integers(0, 1 << 20, count)]
        expected = sum(weight * row.astype(object) for weight, row in zip(weights, rows, strict=True))
        assert weighted_sum(rows, weights).tolist() == list(expected)
        onto = np.arange(columns, dtype=np.int64)
        assert weighted_sum(rows, weights, onto) is onto
        assert onto.tolist() == list(expected + np.arange(columns))


@pytest.mark.usefixtures("path")
def test_the_largest_weights_and_values_are_exact() -> None:
    rows = [np.full(130, -32767, np.int16), np.full(130, 32767, np.int16)]
    assert weighted_sum(rows, [MAX_WEIGHT - 1, 1]).tolist() == [32767 * (2 - MAX_WEIGHT)] * 130
    wide = [np.full(130, 2**31 - 1, np.int32)]
    assert weighted_sum(wide, [MAX_WEIGHT - 1]).tolist() == [(2**31 - 1) ** 2] * 130


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("long", [False, True])
def test_mixtures_are_matrix_products(kind: type, bits: int, long: bool) -> None:
    top = 1 if kind == np.int32 and bits == 32 else 9
    for columns in (1, 64, 200):
        rows = [row // (1 << 20) if top == 1 else row for row in sample(6, columns, kind)]
        for weights in (RANDOM.integers(0, top + 1, (4, 6)), np.eye(6, dtype=np.int64), 1 - np.eye(6, dtype=np.int64)):
            found = mixed(rows, weights.astype(np.int64), bits, long)
            assert found.dtype == f"int{bits}"
            assert found.tolist() == (weights.astype(object) @ np.array(rows, object)).tolist()


@pytest.mark.parametrize("long", [False, True])
def test_weights_beyond_what_kernels_multiply_are_exact_too(long: bool) -> None:
    rows = sample(2, 100, np.int16)
    weights = np.array([[1 << 40, 3], [0, 1 << 31]])
    assert mixed(rows, weights, 64, long).tolist() == (weights.astype(object) @ np.array(rows, object)).tolist()
