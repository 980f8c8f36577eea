import numpy as np
import pytest
import torch

from hansa.core.errors import DataError
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place
from hansa.learning.local import train as train_from
from hansa.learning.personal import personalise
from hansa.learning.site import contribute
from hansa.learning.strategies import FedBN
from hansa.learning.strategy import LocalTraining, Start
from hansa.model.architectures import Mlp, Objective, initial
from hansa.model.state import ModelState

MODEL = Mlp(3, (5,), 1)
RANDOM = np.random.Generator(np.random.PCG64(8))
FEATURES = RANDOM.standard_normal((60, 3)).astype(np.float32)
LABELS = (FEATURES[:, 0] > 0.2).astype(np.int64)
ROWS, HELD = (place(Examples(FEATURES[part], LABELS[part]), torch.device("cpu")) for part in (slice(40), slice(40, 60)))
STATE = initial(MODEL, 1)
LOCAL = LocalTraining(rate=0.1, batch=8, epochs=20, momentum=0.9, decay=0.01, proximal=0.01)


def test_the_whole_model_is_tuned_and_measured_on_held_out_rows() -> None:
    found = personalise(MODEL, Objective.BINARY, STATE, ROWS, HELD, LOCAL, 3)
    end, summary = train_from(MODEL, Objective.BINARY, Start(STATE.vector), ROWS, LOCAL, 3)
    assert found.model.vector.tobytes() == end.weights.tobytes() and found.summary == summary
    assert found.before == evaluate(MODEL, Objective.BINARY, STATE, HELD)
    assert found.after == evaluate(MODEL, Objective.BINARY, found.model, HELD) and found.after.loss < found.before.loss


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_named_tensors_alone_are_tuned(optimiser: str) -> None:
    local = LocalTraining(rate=0.1, batch=8, epochs=5, decay=0.1, optimiser=optimiser)
    found = personalise(MODEL, Objective.BINARY, STATE, ROWS, HELD, local, 3, only=("layer01",))
    for name, tensor in found.model.tensors().items():
        assert (tensor.tobytes() == STATE.tensors()[name].tobytes()) == name.startswith("layer00")


def test_one_step_of_named_tensors_is_the_step_of_all_there() -> None:
    once = LocalTraining(rate=0.1, batch=40, steps=1)
    part, whole = (personalise(MODEL, Objective.BINARY, STATE, ROWS, HELD, once, 3, only=only) for only in (("layer01.w",), ()))
    assert part.model.tensors()["layer01.weight"].tobytes() == whole.model.tensors()["layer01.weight"].tobytes()


def test_it_goes_on_from_the_sites_own_tensors() -> None:
    strategy = FedBN(LOCAL, home=("layer00",))
    kept = contribute(strategy, MODEL, Objective.BINARY, STATE, (), (), ROWS, 1).kept
    own = ModelState(STATE.layout, strategy.start(STATE, (), kept).weights)
    found = personalise(MODEL, Objective.BINARY, own, ROWS, HELD, LOCAL, 3, only=("layer01",))
    assert found.model.tensors()["layer00.weight"].tobytes() == own.tensors()["layer00.weight"].tobytes()
    assert own.tensors()["layer00.weight"].tobytes() != STATE.tensors()["layer00.weight"].tobytes()


def test_a_name_that_no_tensor_has_is_refused() -> None:
    with pytest.raises(DataError, match="begins with head"):
        personalise(MODEL, Objective.BINARY, STATE, ROWS, HELD, LOCAL, 3, only=("head",))
