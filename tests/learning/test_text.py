import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from hansa.core.errors import DataError
from hansa.learning.objective import correct, loss, targets
from hansa.learning.text import windows
from hansa.model.architectures import Objective, Transformer, build, initial


def test_each_byte_but_the_first_is_predicted_once() -> None:
    text = bytes(range(10, 20))
    examples = windows(text, 3)
    assert examples.features.tolist() == [[10, 11, 12, 13], [13, 14, 15, 16], [16, 17, 18, 19]]
    assert examples.features.dtype == np.float32 and examples.labels.tolist() == [0, 0, 0] and examples.labels.dtype == np.int64


def test_a_stride_makes_windows_overlap_and_a_rest_is_dropped() -> None:
    assert windows(b"abcdef", 3, 2).features.tolist() == [[97, 98, 99, 100], [99, 100, 101, 102]]
    assert windows(b"abcde", 3, 2).features.tolist() == [[97, 98, 99, 100]]
    assert windows(b"\xff\x00", 1).features.tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("text", "context", "stride", "sentence"),
    [
        (b"abc", 3, None, "too short"),
        (b"", 1, None, "too short"),
        (b"abc", 0, None, "at least 1"),
        (b"abc", 1, 0, "at least 1"),
        (bytes(1 << 20), 1 << 13, 1, "larger stride"),
    ],
)
def test_what_cannot_be_cut_is_refused(text: bytes, context: int, stride: int | None, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        windows(text, context, stride)


@pytest.mark.slow
@pytest.mark.parametrize("modern", [False, True])
def test_a_small_transformer_learns_more_than_the_last_byte_tells(shared: Path, modern: bool) -> None:
    """On the last tenth of a play, counting bytes after one previous byte gives 2.484 nats, after two 2.046."""
    path = shared / "data" / "tiny_shakespeare" / "input.txt"
    if not path.is_file():
        pytest.skip("data set tiny_shakespeare not present (shared/data)")
    text = path.read_bytes()
    assert hashlib.sha256(text).hexdigest() == "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    cut = len(text) * 9 // 10
    architecture = (
        Transformer(context=64, width=64, heads=4, layers=2, multiple=2, activation="swiglu", positions="rotary", tied=True)
        if modern
        else Transformer(context=64, width=64, heads=4, layers=2)
    )
    module = build(architecture)
    start = initial(architecture, 1).tensors()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(start[name]))
    rows, tests = (windows(part, 64) for part in (text[:cut], text[cut:]))
    placed = [(torch.tensor(each.features), torch.tensor(each.labels)) for each in (rows, tests)]
    wanted, answers = (targets(architecture, Objective.TOKENS, each) for each in placed)
    order = np.argsort(np.random.PCG64(2).random_raw(len(rows)), kind="stable")
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    for step in range(600):
        batch = torch.from_numpy(order[step * 16 : step * 16 + 16])
        optimiser.zero_grad()
        loss(Objective.TOKENS, module(placed[0][0][batch]), wanted[batch]).backward()
        optimiser.step()
    with torch.no_grad():
        outcome = module(placed[1][0])
        found = float(loss(Objective.TOKENS, outcome, answers))
        right = int(correct(Objective.TOKENS, outcome, answers)) / answers.numel()  # type: ignore[arg-type]
    print(f"{found:.3f} nats a byte, {right:.3f} of the next bytes guessed")
    assert found < (2.2 if modern else 2.4)
