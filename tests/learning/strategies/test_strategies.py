"""What every strategy must do, whatever it computes."""

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from hansa.core.encoding import canonical, decode, encode
from hansa.core.errors import DataError, FormatError, ProtocolError
from hansa.learning.site import contribute
from hansa.learning.strategies import (
    AnyStrategy,
    DiLoCo,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedBN,
    FedBuff,
    FedNova,
    FedProx,
    FedYogi,
    Scaffold,
)
from hansa.model.architectures import Linear, Objective
from hansa.model.layout import Layout, Tensor
from tests.learning.strategies.quadratic import BASE, LAYOUT, MODEL, PLACED, WHOLE, mean, play

ADAMW = msgspec.structs.replace(WHOLE, optimiser="adamw", decay=0.01)
ALL: list[AnyStrategy] = [
    FedAvg(WHOLE),
    FedAvgM(WHOLE, rate=0.5, momentum=0.9),
    FedProx(msgspec.structs.replace(WHOLE, proximal=0.1)),
    Scaffold(WHOLE, clients=2),
    FedNova(WHOLE, reach=0.15),
    FedAdam(WHOLE, rate=0.1),
    FedAdagrad(WHOLE, rate=0.1),
    FedYogi(WHOLE, rate=0.1),
    FedBN(WHOLE, home=("linear.bias",)),
    FedBuff(WHOLE, buffer=2),
    DiLoCo(ADAMW),
    DiLoCo(ADAMW, inner="carry"),
]
each = pytest.mark.parametrize("strategy", ALL, ids=lambda strategy: type(strategy).__name__)


@each
def test_a_declaration_travels_as_json_and_is_told_by_its_tag(strategy: AnyStrategy) -> None:
    assert decode(encode(strategy), AnyStrategy) == strategy  # type: ignore[arg-type]
    assert decode(canonical(strategy), AnyStrategy) == strategy  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"lion","local":{"rate":0.1,"batch":1,"steps":1}}',
        b'{"local":{"rate":0.1,"batch":1,"steps":1}}',
        b'{"type":"fedavg"}',
        b'{"type":"fedavg","local":{"rate":0.1,"batch":1,"steps":1},"rate":1}',
        b'{"type":"fedadam","local":{"rate":0.1,"batch":1,"steps":1},"beta2":1}',
    ],
)
def test_a_strategy_that_is_not_one_of_these_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        decode(text, AnyStrategy)  # type: ignore[arg-type]


def test_strategies_do_not_import_torch() -> None:
    check = "import sys, hansa.learning.strategies, hansa.learning.calls, hansa.learning.pace; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0


@each
def test_what_travels_is_the_model_and_then_names_that_sort_after_it(strategy: AnyStrategy) -> None:
    layout = Layout((Tensor("a", (3,)), Tensor("linear.bias", ()), Tensor("z~", (2, 2))))
    travels = strategy.travels(layout)
    model = [tensor for tensor in travels.tensors if not tensor.name.startswith("~")]
    assert [tensor for tensor in layout.tensors if tensor in model] == model
    assert travels.tensors[: len(model)] == tuple(model)
    bounds = strategy.bounds(layout, 0.25)
    assert len(bounds) == len(travels.tensors) and bounds[: len(model)] == (0.25,) * len(model)


@each
def test_arguments_are_not_changed(strategy: AnyStrategy) -> None:
    base, state, kept = BASE, strategy.init(BASE), strategy.fresh(LAYOUT)
    for _ in range(2):
        told = strategy.told(LAYOUT, state)
        seen = (base.vector, *told, *kept, *state)
        before = [vector.tobytes() for vector in seen]
        made = contribute(strategy, MODEL, Objective.SQUARED, base, told, kept, PLACED[0], 1)
        average = mean([made.sent])
        values = average.values.tobytes()
        again = strategy.step(base, average, state)
        assert [vector.tobytes() for vector in seen] == before and average.values.tobytes() == values
        new, following = strategy.step(base, average, state)
        assert new == again[0] and [a.tobytes() for a in following] == [a.tobytes() for a in again[1]]
        assert [(vector.dtype, vector.size) for vector in following] == [(np.dtype(np.float64), vector.size) for vector in state]
        assert made.sent.size == strategy.travels(LAYOUT).size and all(vector.dtype == np.float32 for vector in (*told, *made.kept))
        base, state, kept = new, following, made.kept


@each
def test_a_mean_of_zero_leaves_the_model_alone(strategy: AnyStrategy) -> None:
    zero = mean([np.zeros(strategy.travels(LAYOUT).size, np.float32)])
    assert strategy.step(BASE, zero, strategy.init(BASE))[0] == BASE


@each
def test_a_state_that_is_not_the_strategys_is_refused(strategy: AnyStrategy) -> None:
    zero = mean([np.zeros(strategy.travels(LAYOUT).size, np.float32)])
    state = strategy.init(BASE)
    if state:
        for wrong in ((), (*state, state[0]), tuple(vector[:-1] for vector in state)):
            with pytest.raises(ProtocolError, match="init"):
                strategy.step(BASE, zero, wrong)


@each
def test_it_learns(strategy: AnyStrategy) -> None:
    models = play(strategy, [(0,)] * 60)
    loss = [np.square(PLACED[0].features.numpy() @ model[1:] + model[0] - PLACED[0].labels.numpy()).mean() for model in models]
    assert min(loss) < 0.5 * loss[0]


def test_a_model_of_another_architecture_is_refused() -> None:
    with pytest.raises(DataError, match="layout"):
        contribute(FedAvg(WHOLE), Linear(3), Objective.SQUARED, BASE, (), (), PLACED[0], 1)
