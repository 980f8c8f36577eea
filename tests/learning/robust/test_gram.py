import numpy as np
import pytest

from hansa.learning.robust import gram as module
from hansa.learning.robust.gram import congruence, gram, squared_distances
from hansa.model import compiled
from tests.learning.robust.cases import KINDS, SHAPES


@pytest.fixture(params=[0, 1 << 62], ids=["compiled", "numpy"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LONG", request.param)


def exact(rows: np.ndarray) -> list[list[int]]:
    listed = rows.tolist()
    return [[sum(map(int.__mul__, a, b)) for b in listed] for a in listed]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (1, 64), (2, 31), (3, 33), (4, 2048), (5, 2081), (9, 4500)])
def test_every_product_is_exact(kind: type, shape: str, size: tuple[int, int]) -> None:
    rows = SHAPES[shape](*size, kind)
    assert gram(rows) == exact(rows)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kind", KINDS)
def test_the_most_negative_integer_is_exact_too(kind: type) -> None:
    rows = np.full((3, 5000), np.iinfo(kind).min, kind)
    rows[1] = np.iinfo(kind).max
    rows[2, ::2] = np.iinfo(kind).max
    assert gram(rows) == exact(rows)


@pytest.mark.usefixtures("path")
def test_long_sums_of_the_largest_products_do_not_overflow() -> None:
    rows = np.full((2, 1 << 18), 32767, np.int16)
    rows[1] = -32767
    square = 32767**2 << 18
    assert gram(rows) == [[square, -square], [-square, square]]
    assert squared_distances(gram(rows)) == [[0, 4 * square], [4 * square, 0]]


@pytest.mark.usefixtures("path")
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        rows = SHAPES["normal"](4, 1000, kind)
        expected = exact(rows)
        for width in (7, 64, 999):
            monkeypatch.setattr(module, "_FLOAT_COLUMNS", width)
            monkeypatch.setattr(module, "_CHUNK", width)
            assert gram(rows) == expected


def test_congruence_is_the_gram_matrix_of_the_mixed_rows() -> None:
    random = np.random.default_rng(0)
    for kind, top in ((np.int16, 9), (np.int32, 9), (np.int32, 1 << 20)):
        rows = SHAPES["extreme"](6, 50, kind)
        weights = random.integers(0, top, (4, 6))
        mixed = weights.astype(object) @ rows.astype(object)
        assert congruence(weights, gram(rows)) == (mixed @ mixed.T).tolist()
