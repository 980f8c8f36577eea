import numpy as np
import pytest
import torch

from hansa.core.encoding import canonical, decode, encode
from hansa.core.errors import FormatError
from hansa.core.types import BlobRef
from hansa.learning.examples import Examples
from hansa.learning.objective import loss, targets
from hansa.model.architectures import Architecture, Block, Cnn, Linear, Lora, Mlp, Objective, Transformer, build, initial, layout, merge
from hansa.model.state import ModelState

BLOB = BlobRef(bytes(range(32)), 1000)
BASES: list[Linear | Mlp | Cnn | Transformer] = [
    Linear(6, 3),
    Mlp(6, (8, 5), 2, "gelu"),
    Cnn(1, 4, 5, 3, (Block(4, groups=2),), (6,)),
    Transformer(context=5, width=8, heads=2, layers=2, vocabulary=9),
    Transformer(context=5, width=8, heads=2, layers=1, vocabulary=9, activation="swiglu", positions="rotary", tied=True),
]


def rows(architecture: Architecture) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    shape = (4, architecture.inputs)
    return (
        torch.randint(9, shape, generator=generator).float()
        if isinstance(architecture, Transformer)
        else torch.randn(shape, generator=generator)
    )


def parameters(state: ModelState) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(tensor) for name, tensor in state.tensors().items()}


def trained(lora: Lora) -> ModelState:
    """An adapter both of whose factors are at work."""
    state = initial(lora, 1)
    words = np.random.PCG64(4).random_raw(state.layout.size) >> np.uint64(40)
    return ModelState(state.layout, (words.astype(np.float64) * 2.0**-24 - 0.5).astype(np.float32))


@pytest.mark.parametrize("base", BASES)
def test_a_fresh_adapter_leaves_the_outputs_as_they_are(base: Linear | Mlp | Cnn | Transformer) -> None:
    lora, state = Lora(base, BLOB, rank=3, alpha=6), initial(base, 7)
    before = torch.func.functional_call(build(base), parameters(state), rows(base))
    assert torch.equal(torch.func.functional_call(build(lora, state), parameters(initial(lora, 3)), rows(base)), before)
    moved = torch.func.functional_call(build(lora, state), parameters(trained(lora)), rows(base))
    assert not torch.allclose(moved, before, atol=1e-2)


@pytest.mark.parametrize("base", BASES)
def test_a_merged_model_answers_as_model_and_adapter_do(base: Linear | Mlp | Cnn | Transformer) -> None:
    lora, state = Lora(base, BLOB, rank=3, alpha=6), initial(base, 7)
    beside = torch.func.functional_call(build(lora, state), parameters(trained(lora)), rows(base))
    merged = torch.func.functional_call(build(base), parameters(merge(lora, state, trained(lora))), rows(base))
    assert torch.allclose(merged, beside, atol=1e-4, rtol=1e-4)
    assert merge(lora, state, initial(lora, 0)) == state


def test_merging_is_the_formula_and_touches_nothing_else() -> None:
    base = Mlp(3, (4,), 2)
    lora = Lora(base, BLOB, rank=2, alpha=3, targets=("layer01",))
    state, adapter = initial(base, 1), trained(lora)
    merged, tensors = merge(lora, state, adapter).tensors(), adapter.tensors()
    change = np.zeros((2, 4))
    for i in range(2):
        for j in range(4):
            for k in range(2):
                change[i, j] += float(tensors["layer01.b"][i, k]) * float(tensors["layer01.a"][k, j])
    expected = (state.tensors()["layer01.weight"].astype(np.float64) + change * 1.5).astype(np.float32)
    assert merged["layer01.weight"].tobytes() == expected.tobytes()
    assert all((merged[name] == tensor).all() for name, tensor in state.tensors().items() if name != "layer01.weight")


def test_only_adapters_are_parameters_and_only_they_learn() -> None:
    base = BASES[3]
    lora, state = Lora(base, BLOB, rank=2, alpha=2, targets=("block00.attention", "head")), initial(base, 7)
    assert [tensor.name for tensor in layout(lora).tensors] == [
        f"{name}.{side}" for name in ("block00.attention.input", "block00.attention.output", "head") for side in "ab"
    ]
    module, data = build(lora, state), rows(base)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(parameters(initial(lora, 1))[name])
    examples = Examples(data.numpy(), np.zeros(4, np.int64))
    wanted = targets(lora, Objective.TOKENS, (torch.tensor(examples.features), torch.tensor(examples.labels)))
    optimiser = torch.optim.SGD(module.parameters(), 0.5)
    values = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(Objective.TOKENS, module(data), wanted)
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]
    frozen = dict(module.named_buffers())
    assert all(torch.equal(frozen[name], tensor) for name, tensor in parameters(state).items())


def test_an_adapter_is_far_smaller_than_its_model() -> None:
    base = Transformer(context=64, width=128, heads=4, layers=4)
    assert layout(Lora(base, BLOB, rank=4, alpha=8)).size * 15 < layout(base).size


def test_an_adapter_is_built_on_its_model_and_nothing_else() -> None:
    lora = Lora(Mlp(3, (4,), 2), BLOB, rank=1, alpha=1)
    for base in (None, initial(Mlp(3, (5,), 2), 0)):
        with pytest.raises(FormatError, match="needs the model"):
            build(lora, base)
    with pytest.raises(FormatError, match="only an adapter"):
        build(lora.base, initial(lora.base, 0))
    with pytest.raises(FormatError, match="not an adapter's base"):
        merge(lora, initial(lora, 0), initial(lora, 0))
    with pytest.raises(FormatError, match="not an adapter's base"):
        merge(lora, initial(lora.base, 0), initial(lora.base, 0))


def test_json_carries_the_digest() -> None:
    lora = Lora(Cnn(1, 4, 4, 2, (Block(2),)), BLOB, rank=1, alpha=0.5, targets=("head",))
    assert decode(encode(lora), Architecture) == decode(canonical(lora), Architecture) == lora


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Lora(Linear(3), BLOB, 0, 1), "rank is 0"),
        (lambda: Lora(Linear(3), BLOB, 257, 1), "rank is 257"),
        (lambda: Lora(Linear(3), BLOB, 1, 0), "alpha is 0"),
        (lambda: Lora(Linear(3), BLOB, 1, float("inf")), "alpha is inf"),
        (lambda: Lora(Linear(3), BlobRef(b"", 1), 1, 1), "digest of 32 bytes"),
        (lambda: Lora(Linear(3), BlobRef(bytes(32), 0), 1, 1), "and its size"),
        (lambda: Lora(Linear(3), BLOB, 1, 1, ("linear.bias",)), "begins with 'linear.bias'"),
        (lambda: Lora(Mlp(3, (4,), 1), BLOB, 1, 1, ("layer00", "nothing")), "begins with 'nothing'"),
        (lambda: Lora(Linear(3), BLOB, 1, 1, ("linear",) * 1025), "targets is 1025"),
    ],
)
def test_declarations_out_of_bounds_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        make()  # type: ignore[operator]


def test_an_adapter_of_an_adapter_is_refused() -> None:
    inner = encode(Lora(Linear(3), BLOB, 1, 1))
    outer = encode(Lora(Linear(3), BLOB, 1, 1)).replace(encode(Linear(3)), inner)
    with pytest.raises(FormatError):
        decode(outer, Architecture)
