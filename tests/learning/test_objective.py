import numpy as np
import pytest
import torch

from hansa.core.errors import DataError, FormatError
from hansa.learning.objective import correct, loss, targets
from hansa.model.architectures import Architecture, Linear, Objective

FEATURES = torch.linspace(-1, 1, 6).reshape(3, 2)
CLASSES = torch.tensor([0, 1, 1])


def test_targets_take_the_shape_of_the_outputs() -> None:
    binary = targets(Linear(2), Objective.BINARY, (FEATURES, CLASSES))
    assert binary.dtype == torch.float32 and binary.tolist() == [[0], [1], [1]]
    assert targets(Linear(2, 2), Objective.CATEGORICAL, (FEATURES, CLASSES)) is CLASSES
    assert targets(Linear(2), Objective.SQUARED, (FEATURES, torch.tensor([0.5, 1, 2]))).tolist() == [[0.5], [1], [2]]


@pytest.mark.parametrize(
    ("architecture", "objective", "labels", "sentence"),
    [
        (Linear(3), Objective.BINARY, CLASSES, "2 features"),
        (Linear(2), Objective.BINARY, torch.tensor([0, 1, 2]), "classes 0 to 1"),
        (Linear(2), Objective.BINARY, torch.tensor([0, -1, 1]), "classes 0 to 1"),
        (Linear(2, 2), Objective.CATEGORICAL, torch.tensor([0.0, 1.0, 1.0]), "classes 0 to 1"),
        (Linear(2), Objective.SQUARED, CLASSES, "numeric labels"),
        (Linear(2, 2), Objective.SQUARED, torch.tensor([0.0, 1.0, 1.0]), "one output"),
    ],
)
def test_rows_that_do_not_fit_are_refused(architecture: Architecture, objective: Objective, labels: torch.Tensor, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        targets(architecture, objective, (FEATURES, labels))


def test_an_objective_that_does_not_fit_the_model_is_refused() -> None:
    with pytest.raises(FormatError, match="1 output"):
        targets(Linear(2, 2), Objective.BINARY, (FEATURES, CLASSES))


def test_losses_follow_their_formulas() -> None:
    logits, wanted = torch.tensor([[2.0], [-1.0]]), torch.tensor([[1.0], [1.0]])
    by_hand = np.log1p(np.exp([-2.0, 1.0]))
    assert loss(Objective.BINARY, logits, wanted, "none").flatten().tolist() == pytest.approx(by_hand)
    assert float(loss(Objective.BINARY, logits, wanted)) == pytest.approx(by_hand.mean())
    assert float(loss(Objective.SQUARED, logits, wanted, "sum")) == pytest.approx(1 + 4)
    pair = torch.cat([torch.zeros_like(logits), logits], 1)
    assert loss(Objective.CATEGORICAL, pair, torch.tensor([1, 1]), "none").tolist() == pytest.approx(by_hand)


def test_right_answers_are_the_likelier_class() -> None:
    assert int(correct(Objective.BINARY, torch.tensor([[0.1], [0.1], [-3.0]]), torch.tensor([[1.0], [0.0], [0.0]]))) == 2  # type: ignore[arg-type]
    assert int(correct(Objective.CATEGORICAL, torch.tensor([[0.1, 0.2], [5.0, 1.0]]), torch.tensor([1, 1]))) == 1  # type: ignore[arg-type]
    assert correct(Objective.SQUARED, torch.zeros(2, 1), torch.zeros(2, 1)) is None
