import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.learning.strategy import LocalTraining, derive_seed


def test_seeds_are_frozen_and_differ_by_every_part() -> None:
    assert derive_seed(42, 3, "0xab") == 8131080290839874
    parts = [(42, 3, "0xab"), (43, 3, "0xab"), (42, 4, "0xab"), (42, 3, "0xac"), (4, 23, "0xab")]
    assert len({derive_seed(*part) for part in parts}) == 5
    assert all(0 <= derive_seed(number, 0, "a") < 1 << 53 for number in range(100))


def test_local_training_travels_as_json() -> None:
    local = LocalTraining(rate=0.1, batch=4, steps=3, momentum=0.9, decay=0.01)
    assert decode(encode(local), LocalTraining) == local


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 0.0},
        {"rate": float("nan")},
        {"rate": 1e4},
        {"batch": 0},
        {"batch": 1 << 21},
        {"steps": 0},
        {"epochs": 1},
        {"steps": -1},
        {"steps": 1 << 25},
        {"optimiser": "lion"},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"optimiser": "adam", "momentum": 0.9},
        {"decay": -1.0},
        {"decay": float("inf")},
        {"optimiser": "adamw", "momentum": 0.9},
        {"beta1": 1.0},
        {"beta2": -0.1},
        {"beta2": float("nan")},
        {"epsilon": 0.0},
        {"epsilon": 2.0},
        {"proximal": -1e-9},
        {"proximal": float("nan")},
        {"clip": -1.0},
        {"clip": float("inf")},
        {"warmup": -1},
    ],
)
def test_values_out_of_bounds_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        LocalTraining(**{"rate": 0.1, "batch": 4, "steps": 1, **change})  # type: ignore[arg-type]
