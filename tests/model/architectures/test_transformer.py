import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from hansa.core.errors import FormatError
from hansa.model.architectures import Transformer, build, initial, layout

SMALL = Transformer(context=6, width=8, heads=2, layers=2, vocabulary=11)
MODERN = Transformer(context=6, width=8, heads=2, layers=1, vocabulary=11, multiple=2, activation="swiglu", positions="rotary", tied=True)
TOKENS = torch.tensor([[1, 5, 2, 2, 10, 0, 3], [4, 4, 4, 9, 1, 2, 0]]).float()


def run(architecture: Transformer, tokens: torch.Tensor, seed: int = 1) -> torch.Tensor:
    parameters = {name: torch.tensor(tensor) for name, tensor in initial(architecture, seed).tensors().items()}
    return torch.func.functional_call(build(architecture), parameters, tokens)


def norm(values: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return values / (values.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain


def by_hand(architecture: Transformer, tokens: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """The same model from its published formulas, in float64."""
    at = {name: torch.tensor(tensor).double() for name, tensor in initial(architecture, seed).tensors().items()}
    tokens = tokens[:, : architecture.context].long()
    length, size = tokens.shape[1], architecture.width // architecture.heads
    x = at["embedding.weight"][tokens]
    if architecture.positions == "learned":
        x = x + at["position.weight"][:length]
    for i in range(architecture.layers):
        name = f"block{i:02}"
        q, k, v = (norm(x, at[f"{name}.attention.norm.weight"]) @ at[f"{name}.attention.input.weight"].T).chunk(3, -1)
        heads = []
        for head in range(architecture.heads):
            mine = slice(head * size, (head + 1) * size)
            query, key, value = q[..., mine], k[..., mine], v[..., mine]
            if architecture.positions == "rotary":
                query, key = turned(query), turned(key)
            scores = query @ key.transpose(-1, -2) / math.sqrt(size)
            scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -torch.inf)
            heads.append(scores.softmax(-1) @ value)
        x = x + torch.cat(heads, -1) @ at[f"{name}.attention.output.weight"].T
        inner = norm(x, at[f"{name}.feedforward.norm.weight"]) @ at[f"{name}.feedforward.input.weight"].T
        if architecture.activation == "swiglu":
            gate, value = inner.chunk(2, -1)
            inner = gate * torch.sigmoid(gate) * value
        else:
            inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        x = x + inner @ at[f"{name}.feedforward.output.weight"].T
    return norm(x, at["norm.weight"]) @ at["embedding.weight" if architecture.tied else "head.weight"].T


def turned(values: torch.Tensor) -> torch.Tensor:
    """Pairs (i, i + size / 2) as complex numbers, multiplied by exp(j position 10000^(-2 i / size))."""
    size = values.shape[-1]
    pairs = torch.complex(values[..., : size // 2], values[..., size // 2 :])
    angles = torch.arange(values.shape[-2]).double()[:, None] * 10_000.0 ** (-torch.arange(0, size, 2).double() / size)
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag], -1)


@pytest.mark.parametrize("architecture", [SMALL, MODERN])
def test_the_model_is_its_published_formulas(architecture: Transformer) -> None:
    assert torch.allclose(run(architecture, TOKENS).double(), by_hand(architecture, TOKENS), atol=1e-5)


@pytest.mark.parametrize("architecture", [SMALL, MODERN])
def test_no_position_sees_a_later_token(architecture: Transformer) -> None:
    changed = TOKENS.clone()
    changed[:, 4:] = 7
    before, after = run(architecture, TOKENS), run(architecture, changed)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6) and not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


@pytest.mark.parametrize("architecture", [SMALL, MODERN])
def test_a_shorter_text_gets_logits_after_each_of_its_tokens(architecture: Transformer) -> None:
    assert torch.allclose(run(architecture, TOKENS[:, :3]), run(architecture, TOKENS)[:, :3], atol=1e-6)


@pytest.mark.parametrize("architecture", [SMALL, MODERN])
def test_the_order_of_tokens_matters(architecture: Transformer) -> None:
    swapped = TOKENS[:, [1, 0, *range(2, 7)]]
    assert not torch.allclose(run(architecture, TOKENS)[:, 2:], run(architecture, swapped)[:, 2:], atol=1e-4)


def test_initial_values_are_uniform_with_smaller_residual_ends_and_gains_of_one() -> None:
    architecture = Transformer(context=32, width=64, heads=4, layers=8)
    tensors = initial(architecture, 3).tensors()
    assert (tensors["norm.weight"] == 1).all() and (tensors["block03.attention.norm.weight"] == 1).all()
    for name, bound in (("attention.input", 1 / 8), ("attention.output", 1 / 8 / 4), ("feedforward.output", 1 / 16 / 4)):
        values = np.abs(tensors[f"block03.{name}.weight"])
        assert bound * 0.99 < values.max() <= bound * 1.000001
    logits = run(architecture, torch.randint(256, (2, 33), generator=torch.Generator().manual_seed(0)).float())
    assert float(functional.cross_entropy(logits.flatten(0, 1), torch.zeros(64, dtype=torch.int64))) == pytest.approx(
        math.log(256), abs=0.6
    )


def test_the_size_is_the_sum_of_the_published_parts() -> None:
    width, layers, context = 384, 6, 256
    assert (
        layout(Transformer(context, width, 6, layers)).size
        == 12 * layers * width**2 + 2 * layers * width + width + 2 * 256 * width + context * width
    )
    assert "head.weight" not in [tensor.name for tensor in layout(MODERN).tensors]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Transformer(0, 8, 2, 1), "context is 0"),
        (lambda: Transformer(1 << 20, 8, 2, 1), "context"),
        (lambda: Transformer(8, 0, 1, 1), "width is 0"),
        (lambda: Transformer(8, 8, 3, 1), "divide into 3 heads"),
        (lambda: Transformer(8, 8, 0, 1), "heads is 0"),
        (lambda: Transformer(8, 8, 2, 65), "layers is 65"),
        (lambda: Transformer(8, 8, 2, 1, vocabulary=1), "vocabulary is 1"),
        (lambda: Transformer(8, 8, 2, 1, multiple=17), "multiple is 17"),
        (lambda: Transformer(8, 8, 2, 1, activation="relu"), "activation 'relu'"),
        (lambda: Transformer(8, 8, 2, 1, positions="none"), "positions 'none'"),
        (lambda: Transformer(8, 6, 2, 1, positions="rotary"), "even number"),
    ],
)
def test_declarations_out_of_bounds_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        make()  # type: ignore[operator]
