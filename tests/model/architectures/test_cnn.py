import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from hansa.core.errors import FormatError
from hansa.model.architectures import Block, Cnn, build, initial, layout


def test_the_benchmarks_network_has_its_known_size() -> None:
    """The MNIST network of McMahan et al. 2017 (arXiv:1602.05629), section 3."""
    assert layout(Cnn(1, 28, 28, 10, (Block(32, kernel=5), Block(64, kernel=5)), (512,))).size == 1_663_370


def test_images_shrink_as_declared() -> None:
    network = Cnn(3, 29, 30, 7, (Block(4, stride=2, pool=1), Block(6), Block(8, pool=1)))
    assert network.images() == [(3, 29, 30), (4, 15, 15), (6, 7, 7), (8, 7, 7)]
    assert build(network)(torch.zeros(2, 3 * 29 * 30)).shape == (2, 7)


def test_norms_start_as_the_identity_and_normalise() -> None:
    network = Cnn(1, 4, 4, 2, (Block(4, groups=2),))
    tensors = initial(network, 0).tensors()
    assert (tensors["block00.norm.weight"] == 1).all() and not tensors["block00.norm.bias"].any()
    assert np.signbit(tensors["block00.norm.bias"]).sum() == 0
    module = build(network)
    rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    parameters = {name: torch.tensor(tensor) for name, tensor in tensors.items()}
    plain = torch.func.functional_call(module, parameters, rows)
    parameters["block00.convolution.weight"] *= 5
    parameters["block00.convolution.bias"] *= 5
    assert torch.allclose(torch.func.functional_call(module, parameters, rows), plain, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Cnn(1, 3, 28, 10, (Block(4), Block(4))), "too small"),
        (lambda: Cnn(1, 28, 2000, 10, (Block(4),)), "1 to 1024"),
        (lambda: Cnn(0, 28, 28, 10, (Block(4),)), "channels is 0"),
        (lambda: Cnn(1, 28, 28, 0, (Block(4),)), "classes is 0"),
        (lambda: Cnn(1, 28, 28, 10, ()), "blocks is 0"),
        (lambda: Cnn(1, 28, 28, 10, (Block(4, pool=1),) * 65), "blocks is 65"),
        (lambda: Cnn(1, 28, 28, 10, (Block(4),), (0,)), "width is 0"),
        (lambda: Block(0), "filters is 0"),
        (lambda: Block(8, groups=3), "divide into 3 groups"),
        (lambda: Block(8, groups=-1), "groups is -1"),
        (lambda: Block(8, kernel=4), "kernel's side is 4"),
        (lambda: Block(8, stride=0), "stride is 0"),
        (lambda: Block(8, pool=0), "pooling is 0"),
    ],
)
def test_declarations_out_of_bounds_are_refused(make: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        make()  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "rate"), [(0, 0.03), (4, 0.01)])
def test_a_small_network_reads_digits(shared: Path, groups: int, rate: float) -> None:
    folder = shared / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("data set mnist not present (shared/data)")

    def read(name: str, digest: str, header: int) -> np.ndarray:
        data = gzip.decompress((folder / name).read_bytes())
        assert hashlib.sha256(data).hexdigest().startswith(digest)
        return np.frombuffer(data, np.uint8, offset=header)

    images, digits = read("train-images-idx3-ubyte.gz", "ba891046e6505d7a", 16), read("train-labels-idx1-ubyte.gz", "65a50cbbf4e906d7", 8)
    unseen, answers = read("t10k-images-idx3-ubyte.gz", "0fa7898d509279e4", 16), read("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de3373", 8)
    rows, tests = (torch.tensor(pixels.reshape(-1, 784) / np.float32(255)) for pixels in (images, unseen))
    network = Cnn(1, 28, 28, 10, (Block(16, groups=groups), Block(32, groups=groups)))
    module, start = build(network), initial(network, 1).tensors()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(start[name]))
    optimiser = torch.optim.SGD(module.parameters(), rate, momentum=0.9)
    order = torch.from_numpy(np.argsort(np.random.PCG64(2).random_raw(len(rows)), kind="stable"))
    for step in range(300):
        batch = order[step * 64 : step * 64 + 64]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module(rows[batch]), torch.tensor(digits.astype(np.int64))[batch]).backward()
        optimiser.step()
    with torch.no_grad():
        accuracy = float((module(tests).argmax(1).numpy() == answers).mean())
    print(f"{accuracy:.4f} of the digits read")
    assert accuracy > 0.96
