import numpy as np
import pytest

from hansa.core.errors import FormatError
from hansa.model.architectures import Trees, initial, layout


def test_a_forest_starts_ungrown() -> None:
    trees = Trees(5, steps=3, depth=2, outputs=4)
    assert not initial(trees, 1).vector.any() and not np.signbit(initial(trees, 1).vector).any()
    assert {tensor.name: tensor.shape for tensor in layout(trees).tensors} == {
        "bins": (12, 3),
        "features": (12, 3),
        "leaves": (12, 4),
        "levels": (),
    }
    assert (trees.levels, trees.nodes, trees.histogram) == (6, 2, 2 * 4 * 2 * 5 * 32)


def test_edges_are_uniform_and_public() -> None:
    assert Trees(1, 1, 1, bins=4, low=-2, high=2).edges().tolist() == [-1, 0, 1]
    assert Trees(1, 1, 1, bins=2, low=0, high=1).edges().tolist() == [0.5]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Trees(0, 1, 1), "inputs is 0"),
        (lambda: Trees(1, 0, 1), "steps is 0"),
        (lambda: Trees(1, 1, 11), "depth is 11"),
        (lambda: Trees(1, 1, 1, outputs=0), "outputs is 0"),
        (lambda: Trees(1, 1, 1, bins=1), "bins is 1"),
        (lambda: Trees(1, 1, 1, low=1, high=1), "the first must be the lower"),
        (lambda: Trees(1, 1, 1, low=float("nan")), "the first must be the lower"),
        (lambda: Trees(1, 1, 1, bins=256, low=1e5, high=1e5 + 0.1), "do not differ in float32"),
        (lambda: Trees(1, 1, 1, rate=0), "rate"),
        (lambda: Trees(1, 1, 1, penalty=0), "penalty"),
        (lambda: Trees(1, 1, 1, least=-1), "least"),
        (lambda: Trees(1 << 16, 1, 10, bins=256), "a level's sums"),
    ],
)
def test_declarations_out_of_bounds_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        make()  # type: ignore[operator]
