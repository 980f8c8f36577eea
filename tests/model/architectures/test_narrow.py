import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.core.types import BlobRef
from hansa.model.architectures import (
    Architecture,
    Block,
    Cnn,
    Linear,
    Lora,
    Mlp,
    Transformer,
    Trees,
    build,
    initial,
    inputs,
    layout,
    narrow,
)
from hansa.model.state import ModelState, Vector

SAME = [
    Mlp(5, (8, 7), 3),
    Mlp(5, (8, 7, 3), 1, "tanh"),
    Mlp(4, (6,), 2, "gelu"),
    Cnn(2, 8, 7, 3, (Block(6), Block(5, kernel=5, pool=1, stride=2)), (7,)),
    Cnn(1, 8, 8, 2, (Block(8, groups=4), Block(6, groups=2))),
]


def run(architecture: Architecture, vector: Vector) -> torch.Tensor:
    parameters = {name: torch.tensor(tensor) for name, tensor in ModelState(layout(architecture), vector).tensors().items()}
    rows = torch.randn(3, inputs(architecture), generator=torch.Generator().manual_seed(1))
    return torch.func.functional_call(build(architecture), parameters, rows)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("architecture", SAME)
def test_a_narrow_model_answers_as_the_wide_one_without_its_other_channels(architecture: Architecture, share: float) -> None:
    small, places = narrow(architecture, share)
    wide = initial(architecture, 3).vector.copy()
    for name, span in ((tensor.name, span) for tensor, span in layout(architecture).spans() if "norm" in tensor.name):
        wide[span] += initial(Linear(wide[span].size), len(name)).vector[1:]
    cut = np.zeros_like(wide)
    cut[places] = wide[places]
    assert torch.allclose(run(small, wide[places]), run(architecture, cut), atol=1e-5)
    assert (layout(small).size < layout(architecture).size) == (share < 1)


@given(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_places_are_one_for_each_entry_and_ascend_with_the_share(width: int, hidden: list[int], share: float) -> None:
    architecture = Mlp(width, tuple(hidden), 2)
    small, places = narrow(architecture, share)
    smaller, fewer = narrow(architecture, share / 2)
    assert len(places) == layout(small).size and (np.diff(places) > 0).all() and places[-1] < layout(architecture).size
    assert len(fewer) == layout(smaller).size and set(fewer) <= set(places)


def test_shares_round_up_and_groups_stay_whole() -> None:
    small, _ = narrow(Cnn(1, 8, 8, 2, (Block(8, groups=4), Block(5)), (10,)), 0.3)
    assert small == Cnn(1, 8, 8, 2, (Block(4, groups=2), Block(2)), (3,))
    assert narrow(Mlp(5, (10, 1), 3), 0.25)[0] == Mlp(5, (3, 1), 3)


def test_a_transformer_keeps_whole_heads_of_queries_keys_and_values() -> None:
    wide = Transformer(context=4, width=12, heads=3, layers=1, vocabulary=7, activation="swiglu", positions="rotary")
    small, places = narrow(wide, 0.5)
    assert small == Transformer(context=4, width=8, heads=2, layers=1, vocabulary=7, activation="swiglu", positions="rotary")
    state = initial(wide, 1)
    cut, whole = ModelState(layout(small), state.vector[places]).tensors(), state.tensors()
    mixed = whole["block00.attention.input.weight"]
    assert (cut["block00.attention.input.weight"] == np.concatenate([mixed[start : start + 8, :8] for start in (0, 12, 24)])).all()
    gated = whole["block00.feedforward.input.weight"]
    assert (cut["block00.feedforward.input.weight"] == np.concatenate([gated[:32, :8], gated[48:80, :8]])).all()
    assert (cut["block00.feedforward.output.weight"] == whole["block00.feedforward.output.weight"][:8, :32]).all()
    assert (cut["embedding.weight"] == whole["embedding.weight"][:, :8]).all()


@pytest.mark.parametrize("architecture", [Linear(5, 2), *SAME, Transformer(context=4, width=12, heads=3, layers=2)])
def test_the_whole_share_is_the_model_itself(architecture: Architecture) -> None:
    small, places = narrow(architecture, 1.0)
    assert small == architecture and (places == np.arange(layout(architecture).size)).all()


def test_a_linear_model_has_nothing_to_narrow() -> None:
    small, places = narrow(Linear(5, 2), 0.1)
    assert small == Linear(5, 2) and (places == np.arange(12)).all()


@pytest.mark.parametrize("architecture", [Trees(3, 1, 1), Lora(Linear(3), BlobRef(bytes(32), 1), 1, 1)])
def test_what_has_no_hidden_width_is_refused(architecture: Architecture) -> None:
    with pytest.raises(FormatError, match="cannot be narrowed"):
        narrow(architecture, 0.5)


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_is_between_nothing_and_all(share: float) -> None:
    with pytest.raises(FormatError, match="share"):
        narrow(Linear(3), share)
