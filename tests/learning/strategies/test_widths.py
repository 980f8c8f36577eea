import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.examples import Examples
from hansa.learning.local import place, train
from hansa.learning.site import contribute
from hansa.learning.strategies import AnyStrategy, FedAvg, PartialWidth
from hansa.learning.strategy import LocalTraining, Mean, mean_of
from hansa.model.aggregate import Aggregate
from hansa.model.architectures import Linear, Mlp, Objective, initial, layout
from hansa.model.layout import Tensor
from hansa.model.state import ModelState
from hansa.model.update import Update, quantise

MODEL = Mlp(2, (4,), 1)
LOCAL = LocalTraining(rate=0.1, batch=32, steps=3)
STRATEGY = PartialWidth(LOCAL, MODEL, (1.0, 0.5, 0.25))
BASE = initial(MODEL, 3)
RANDOM = np.random.Generator(np.random.PCG64(8))
FEATURES = RANDOM.standard_normal((20, 2)).astype(np.float32)
ROWS = place(Examples(FEATURES, FEATURES[:, 0] * 2 + FEATURES[:, 1]), torch.device("cpu"))
# layer00.bias (4), layer00.weight (4, 2), layer01.bias (1), layer01.weight (1, 4): what half the hidden layer is.
HALF = [0, 1, 4, 5, 6, 7, 12, 13, 14]
QUARTER = [0, 4, 5, 12, 13]


def made(width: int) -> np.ndarray:
    return contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, (), (), ROWS, 1, width=width).sent


@pytest.mark.parametrize(("width", "places", "hidden"), [(0, list(range(17)), 4), (1, HALF, 2), (2, QUARTER, 1)])
def test_a_device_trains_the_leading_part_and_says_which(width: int, places: list[int], hidden: int) -> None:
    small = Mlp(2, (hidden,), 1)
    state = ModelState(layout(small), BASE.vector[places])
    expected = np.zeros(17, np.float32)
    expected[places] = contribute(FedAvg(LOCAL), small, Objective.SQUARED, state, (), (), ROWS, 1).sent
    sent = made(width)
    assert sent[:17].tobytes() == expected.tobytes() and sent[17:].tolist() == [float(width == each) for each in range(3)]


def test_every_coordinate_is_the_mean_of_those_who_cover_it() -> None:
    travels, weights = STRATEGY.travels(BASE.layout), [2, 1, 1]
    assert travels.tensors[-1] == Tensor("~width", (3,)) and STRATEGY.bounds(BASE.layout, 0.5)[-1] == 1.0
    sent = [made(1), made(1) * np.float32(-0.5) + (np.arange(20) == 18) * np.float32(1.5), made(2)]
    scales = tuple(bound / (2**31 - 1) for bound in STRATEGY.bounds(BASE.layout, 4.0))
    updates = [Update(travels, scales, quantise(travels, s, scales, 32)[0], w) for s, w in zip(sent, weights, strict=True)]
    new, _ = STRATEGY.step(BASE, mean_of(Aggregate.of(updates)), ())
    for spot in range(17):
        if spot in QUARTER:
            change = (2 * sent[0][spot] + sent[1][spot] + sent[2][spot]) / 4
        elif spot in HALF:
            change = (2 * sent[0][spot] + sent[1][spot]) / 3
        else:
            change = 0.0
        assert new.vector[spot] == pytest.approx(BASE.vector[spot] + change, abs=1e-6)
        assert change or new.vector[spot].tobytes() == BASE.vector[spot].tobytes()


def test_whole_devices_alone_are_federated_averaging() -> None:
    sent = np.mean([made(0), made(0) * 0.5], axis=0, dtype=np.float64)
    sent[17:] = 1, 0, 0
    ours = STRATEGY.step(BASE, Mean(sent, 2, 2), ())[0]
    assert ours == FedAvg(LOCAL).step(BASE, Mean(sent[:17], 2, 2), ())[0]
    end, _ = train(MODEL, Objective.SQUARED, STRATEGY.start(BASE, (), ()), ROWS, LOCAL, 1)
    assert STRATEGY.finish(BASE, (), (), end)[0].tobytes() == made(0).tobytes()


def test_a_false_cover_gains_no_more_than_a_site_of_its_own() -> None:
    """A site that moves wide coordinates, and says almost nothing of its class, is divided by one site's share, not by almost nothing."""
    values = np.zeros(20)
    values[3], values[17], values[18] = 0.25, 0.2, 0.75
    new = STRATEGY.step(BASE, Mean(values, 4, 4), ())[0]
    assert new.vector[3] == pytest.approx(BASE.vector[3] + 0.25 / 0.25, abs=1e-6)
    values[17] = 1e-9
    assert STRATEGY.step(BASE, Mean(values, 4, 4), ())[0].vector[3] == BASE.vector[3]


def test_r12_every_bit_is_that_of_plain_arithmetic() -> None:
    values = RANDOM.standard_normal(20)
    values[17:] = 0.5, 0.3, 0.2
    new = STRATEGY.step(BASE, Mean(values, 10, 10), ())[0]
    for spot in range(17):
        cover = 0.0
        for share, reached in ((0.5, True), (0.3, spot in HALF), (0.2, spot in QUARTER)):
            cover = cover + share if reached else cover
        expected = float(BASE.vector[spot]) + float(values[spot]) / cover
        assert new.vector[spot].tobytes() == np.float32(expected).tobytes()


def test_it_learns_with_weak_devices_alone() -> None:
    base = BASE
    for _ in range(20):
        sent = contribute(STRATEGY, MODEL, Objective.SQUARED, base, (), (), ROWS, 1, width=1)
        base, _ = STRATEGY.step(base, Mean(sent.sent.astype(np.float64), 1, 1), ())
    first = contribute(STRATEGY, MODEL, Objective.SQUARED, BASE, (), (), ROWS, 1, width=1).summary.loss
    assert sent.summary.loss < 0.5 * first


def test_what_does_not_fit_is_refused() -> None:
    assert decode(encode(STRATEGY), AnyStrategy) == STRATEGY  # type: ignore[arg-type]
    for width in (3, -1):
        with pytest.raises(ProtocolError, match="classes 0 to 2"):
            made(width)
    with pytest.raises(ProtocolError, match="partial widths"):
        contribute(FedAvg(LOCAL), MODEL, Objective.SQUARED, BASE, (), (), ROWS, 1, width=1)
    with pytest.raises(FormatError, match="give both the same"):
        STRATEGY.travels(layout(Linear(2)))
    for shares in ((), (0.5,), (1.0, 1.0), (1.0, 0.5, 0.75), (1.0, 0.0), (1.0, float("nan")), tuple(1 - each / 20 for each in range(17))):
        with pytest.raises(FormatError, match="shares"):
            replace(STRATEGY, shares=shares)
