"""A site's part with an adapter: only it is trained and sent, the frozen model comes beside it."""

import numpy as np
import pytest
import torch

from hansa.core.errors import DataError, FormatError
from hansa.core.types import BlobRef, Digest
from hansa.learning.examples import Examples
from hansa.learning.local import evaluate, place
from hansa.learning.site import contribute
from hansa.learning.strategies import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model.architectures import Linear, Lora, Mlp, Objective, initial
from hansa.model.state import ModelState

RANDOM = np.random.Generator(np.random.PCG64(8))
FEATURES = RANDOM.standard_normal((30, 4)).astype(np.float32)
ROWS = place(Examples(FEATURES, FEATURES[:, 0] - FEATURES[:, 1]), torch.device("cpu"))
BASE = Mlp(4, (6,), 1)
FROZEN = initial(BASE, 1)
LORA = Lora(BASE, BlobRef(Digest(bytes(32)), 100), rank=2, alpha=4)
STRATEGY = FedAvg(LocalTraining(rate=0.05, batch=10, epochs=20))


def test_an_adapter_alone_is_trained() -> None:
    adapter = initial(LORA, 2)
    before = FROZEN.vector.tobytes()
    made = contribute(STRATEGY, LORA, Objective.SQUARED, adapter, (), (), ROWS, 1, frozen=FROZEN)
    after = ModelState(adapter.layout, adapter.vector + made.sent)
    losses = [evaluate(LORA, Objective.SQUARED, state, ROWS, frozen=FROZEN).loss for state in (adapter, after)]
    assert made.sent.size == adapter.layout.size and losses[1] < 0.7 * losses[0]
    assert losses[0] == pytest.approx(evaluate(BASE, Objective.SQUARED, FROZEN, ROWS).loss, rel=1e-5)
    assert FROZEN.vector.tobytes() == before


def test_adapters_of_two_models_are_told_apart_by_the_digest_they_name() -> None:
    adapter, other = initial(LORA, 2), Lora(BASE, BlobRef(Digest(b"\1" * 32), 100), rank=2, alpha=4)
    first = evaluate(LORA, Objective.SQUARED, adapter, ROWS, frozen=FROZEN).loss
    second = evaluate(other, Objective.SQUARED, adapter, ROWS, frozen=initial(BASE, 9)).loss
    assert first != second and evaluate(LORA, Objective.SQUARED, adapter, ROWS, frozen=FROZEN).loss == first


def test_what_does_not_fit_is_refused() -> None:
    fresh = Lora(BASE, BlobRef(Digest(b"\2" * 32), 100), rank=2, alpha=4)
    with pytest.raises(FormatError, match="adapter needs"):
        contribute(STRATEGY, fresh, Objective.SQUARED, initial(fresh, 2), (), (), ROWS, 1)
    with pytest.raises(DataError, match="layout"):
        contribute(STRATEGY, LORA, Objective.SQUARED, FROZEN, (), (), ROWS, 1, frozen=FROZEN)
    with pytest.raises(FormatError, match="only an adapter"):
        contribute(STRATEGY, Linear(4), Objective.SQUARED, initial(Linear(4), 2), (), (), ROWS, 1, frozen=FROZEN)
