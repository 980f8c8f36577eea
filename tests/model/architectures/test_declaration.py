import subprocess
import sys

import msgspec
import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from hansa.core.encoding import decode, encode, sha256
from hansa.core.errors import FormatError
from hansa.core.types import BlobRef
from hansa.model.architectures import (
    Architecture,
    Block,
    Cnn,
    Linear,
    Lora,
    Mlp,
    Objective,
    Transformer,
    Trees,
    build,
    check_objective,
    footprint,
    initial,
    inputs,
    layout,
    outputs,
)

ALL: list[Architecture] = [
    Linear(13),
    Linear(4, 3),
    Mlp(4, (8, 5), 3, "tanh"),
    Mlp(6, (4,) * 11, 1),
    Cnn(3, 9, 12, 7, (Block(4), Block(5))),
    Cnn(1, 9, 8, 3, (Block(4, kernel=5, stride=2, pool=1, groups=2), Block(6, kernel=1, groups=6)), (5, 4)),
    Transformer(context=6, width=8, heads=2, layers=2, vocabulary=11),
    Transformer(context=6, width=8, heads=2, layers=1, vocabulary=11, multiple=2, activation="swiglu", positions="rotary", tied=True),
    Trees(5, steps=3, depth=2, outputs=2, bins=4),
    Lora(Mlp(4, (8, 5), 3, "tanh"), BlobRef(bytes(32), 1), rank=2, alpha=4),
    Lora(Transformer(context=6, width=8, heads=2, layers=2, vocabulary=11), BlobRef(bytes(32), 1), 3, 1, ("block01.", "head")),
]


def module_of(architecture: Architecture) -> torch.nn.Module:
    return build(architecture, initial(architecture.base, 5) if isinstance(architecture, Lora) else None)


def language(architecture: Architecture) -> Transformer | None:
    trained = architecture.base if isinstance(architecture, Lora) else architecture
    return trained if isinstance(trained, Transformer) else None


def rows(architecture: Architecture, count: int) -> torch.Tensor:
    """Rows that the architecture takes: token ids for language models, numbers otherwise."""
    generator = torch.Generator().manual_seed(3)
    shape = (count, inputs(architecture))
    if model := language(architecture):
        return torch.randint(model.vocabulary, shape, generator=generator).float()
    return torch.randn(shape, generator=generator)


def tensors(architecture: Architecture, seed: int) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(tensor) for name, tensor in initial(architecture, seed).tensors().items()}


@pytest.mark.parametrize("architecture", ALL)
def test_torch_parameters_are_the_layouts_tensors(architecture: Architecture) -> None:
    parameters = {name: tuple(parameter.shape) for name, parameter in module_of(architecture).named_parameters()}
    assert parameters == {tensor.name: tensor.shape for tensor in layout(architecture).tensors}


@pytest.mark.parametrize("architecture", ALL)
def test_rows_go_in_and_outputs_come_out(architecture: Architecture) -> None:
    model = language(architecture)
    positions = (model.context,) if model else ()
    assert module_of(architecture)(rows(architecture, 2)).shape == (2, *positions, outputs(architecture))


@pytest.mark.parametrize("architecture", ALL)
def test_names_leave_room_for_a_strategys_own_tensors(architecture: Architecture) -> None:
    names = [tensor.name for tensor in layout(architecture).tensors]
    assert names == sorted(names) and not any(name.startswith("~") for name in names)


@pytest.mark.parametrize("architecture", ALL)
def test_clients_trained_side_by_side_are_clients_trained_one_by_one(architecture: Architecture) -> None:
    module, data, clients = module_of(architecture), rows(architecture, 4), [tensors(architecture, seed) for seed in range(3)]

    def value(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(module, parameters, data).square().mean()

    together = {name: torch.stack([client[name] for client in clients]) for name in clients[0]}
    with sdpa_kernel(SDPBackend.MATH):
        gradients = torch.func.vmap(torch.func.grad(value))(together)
    for place, client in enumerate(clients):
        for name, gradient in torch.func.grad(value)(client).items():
            assert torch.allclose(gradients[name][place], gradient, rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("architecture", ALL)
def test_a_layers_values_do_not_exceed_the_footprint(architecture: Architecture) -> None:
    sizes = []
    module = module_of(architecture)
    for part in module.modules():
        part.register_forward_hook(lambda part, given, outcome: sizes.append(outcome.numel()))
    module(rows(architecture, 1))
    assert max(sizes) <= footprint(architecture)


@pytest.mark.parametrize("architecture", ALL)
def test_initial_values_are_seeded_and_within_fan_in(architecture: Architecture) -> None:
    state = initial(architecture, 7)
    assert state == initial(architecture, 7) and (state != initial(architecture, 8)) == (not isinstance(architecture, Trees))
    for tensor in state.tensors().values():
        assert np.abs(tensor).max() <= 1
    if architecture == Linear(13):
        assert np.abs(state.vector).max() <= 1 / np.sqrt(13)


def test_initial_values_are_frozen() -> None:
    assert (
        sha256(initial(Linear(13), 42).vector.astype("<f4").tobytes()).hex()
        == "69ba34ac3f23ace879c1a04fa723e23bb2377e4b7529cf6dcc2217bf3faf1b46"
    )


def test_initial_values_are_uniform() -> None:
    values = initial(Linear(10_000, 1), 1).tensors()["linear.weight"] * 100
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1 / np.sqrt(3)) < 0.02


@pytest.mark.parametrize("seed", [-1, 1 << 53])
def test_seeds_are_bounded(seed: int) -> None:
    with pytest.raises(FormatError, match="seed"):
        initial(Linear(1), seed)


def test_activations_differ() -> None:
    rows = torch.linspace(-2, 2, 8).reshape(2, 4)
    results = []
    for activation in ("relu", "tanh", "gelu"):
        architecture = Mlp(4, (8,), 2, activation)
        module = build(architecture)
        tensors = {name: torch.tensor(tensor) for name, tensor in initial(architecture, 3).tensors().items()}
        results.append(torch.func.functional_call(module, tensors, rows).tolist())
    assert results[0] != results[1] != results[2] != results[0]


@pytest.mark.parametrize("architecture", ALL)
def test_json_brings_back_the_same_declaration(architecture: Architecture) -> None:
    assert decode(encode(architecture), Architecture) == architecture


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(0),
        lambda: Linear(1, 1 << 17),
        lambda: Mlp(4, (), 1),
        lambda: Mlp(4, (1,) * 64, 1),
        lambda: Mlp(4, (0,), 1),
        lambda: Mlp(4, (8,), 1, "sigmoid"),
    ],
)
def test_declarations_out_of_bounds_are_refused(make: object) -> None:
    with pytest.raises(FormatError):
        make()  # type: ignore[operator]


def test_a_model_larger_than_a_layout_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(FormatError, match="exceeds the limit"):
        initial(Mlp(1 << 16, (1 << 16,), 1), 0)
    with pytest.raises(FormatError, match="exceeds the limit"):
        build(Mlp(1 << 16, (1 << 16,), 1))
    with pytest.raises(FormatError, match="exceeds the limit"):
        build(Transformer(context=1 << 13, width=1 << 13, heads=1, layers=64))


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"transformer"}',
        b'{"type":"recurrent","inputs":4}',
        b'{"type":"linear","inputs":0}',
        b'{"type":"linear","inputs":4,"code":"x"}',
        b"{}",
    ],
)
def test_unknown_or_malformed_declarations_are_a_format_error(text: bytes) -> None:
    with pytest.raises(FormatError):
        decode(text, Architecture)


def test_objectives_must_fit_the_outputs() -> None:
    check_objective(Linear(3), Objective.BINARY)
    check_objective(Linear(3, 2), Objective.CATEGORICAL)
    check_objective(Linear(3), Objective.SQUARED)
    with pytest.raises(FormatError, match="1 output"):
        check_objective(Linear(3, 2), Objective.BINARY)
    with pytest.raises(FormatError, match="at least 2"):
        check_objective(Linear(3), Objective.CATEGORICAL)
    check_objective(Transformer(4, 4, 1, 1), Objective.TOKENS)
    adapter = Lora(Transformer(4, 4, 1, 1), BlobRef(bytes(32), 1), 1, 1)
    check_objective(adapter, Objective.TOKENS)
    for architecture, objective in (
        (adapter, Objective.CATEGORICAL),
        (Transformer(4, 4, 1, 1), Objective.CATEGORICAL),
        (Linear(3, 2), Objective.TOKENS),
    ):
        with pytest.raises(FormatError, match="language model"):
            check_objective(architecture, objective)
    assert msgspec.json.decode(b'"cross-entropy"', type=Objective) is Objective.CATEGORICAL


def test_the_model_room_does_not_import_torch() -> None:
    rooms = (
        "model.architectures model.codec model.stages model.aggregate learning.strategies.fedavg learning.data learning.text learning.trees"
    ).split()
    check = f"import sys, {', '.join(f'hansa.{room}' for room in rooms)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60).returncode == 0
