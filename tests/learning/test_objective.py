import numpy as np
import pytest
import torch

from hansa.core.errors import DataError, FormatError
from hansa.learning.objective import correct, loss, targets
from hansa.model.architectures import Architecture, Linear, Objective, Transformer

FEATURES = torch.linspace(-1, 1, 6).reshape(3, 2)
CLASSES = torch.tensor([0, 1, 1])
LANGUAGE = Transformer(context=3, width=4, heads=1, layers=1, vocabulary=5)
TEXT = torch.tensor([[0.0, 4, 2, 1], [3, 3, 0, 2]])


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


def test_a_tokens_target_is_its_successor() -> None:
    wanted = targets(LANGUAGE, Objective.TOKENS, (TEXT, torch.zeros(2, dtype=torch.int64)))
    assert wanted.tolist() == [[4, 2, 1], [3, 0, 2]] and wanted.dtype == torch.int64


@pytest.mark.parametrize("value", [0.5, -1.0, 5.0, 1e30])
def test_what_is_no_token_is_refused(value: float) -> None:
    text = TEXT.clone()
    text[1, 2] = value
    with pytest.raises(DataError, match="token ids 0 to 4"):
        targets(LANGUAGE, Objective.TOKENS, (text, torch.zeros(2, dtype=torch.int64)))


def test_tokens_count_one_by_one() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    wanted = logits.argmax(-1)
    wanted[0, 0] = (wanted[0, 0] + 1) % 5
    values = loss(Objective.TOKENS, logits, wanted, "none")
    chances = logits.softmax(-1)
    assert values.shape == (2, 3) and float(values[1, 2]) == pytest.approx(-float(chances[1, 2, wanted[1, 2]].log()), abs=1e-6)
    assert float(loss(Objective.TOKENS, logits, wanted)) == pytest.approx(float(values.mean()), abs=1e-6)
    assert int(correct(Objective.TOKENS, logits, wanted)) == 5  # type: ignore[arg-type]


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
