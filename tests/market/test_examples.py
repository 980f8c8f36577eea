"""The orders among the examples, one for each family of models: each is read, prepared and within the contracts' bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.config import load
from hansa.core.errors import ConfigError, DataError, FormatError
from hansa.learning import shards
from hansa.market.order import Adapter, Order, Prepared, prepare, specification, terms
from hansa.market.terms import check_terms
from hansa.model import codec
from hansa.model.architectures import Lora, Mlp, initial, layout
from hansa.rounds.spec import JobSpec, read_spec, write_spec
from hansa.storage import unixfs
from tests.conftest import ROOT

ORDERS = sorted((ROOT / "examples" / "orders").glob("*.toml"))
NAMES = [path.stem for path in ORDERS]
NOW = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A client's files, small: what the orders name."""
    rng = np.random.default_rng(5)
    lines = [f"{30 + n},{n % 11},{('no', 'once', 'yes')[n % 3]},{'yes' if n % 4 else 'no'}\n" for n in range(80)]
    (tmp_path / "held.csv").write_text("age,marker,smoker,ill\n" + "".join(lines))
    np.savez(tmp_path / "held.npz", pixels=rng.random((80, 1, 8, 8)), digit=np.arange(80) % 10)
    (tmp_path / "held.txt").write_bytes(b"to be or not to be, that is the question: " * 40)
    order = load(ROOT / "examples" / "orders" / "lora.toml", Order)
    assert isinstance(order.architecture, Adapter)
    (tmp_path / "base.safetensors").write_bytes(codec.encode(initial(order.architecture.base, 3)))
    return tmp_path


def specified(order: Order, made: Prepared) -> JobSpec:
    return specification(order, made, unixfs.root(made.genesis), unixfs.root(made.progress))


def test_there_is_one_for_each_family() -> None:
    assert NAMES == ["cnn", "linear", "lora", "mlp", "transformer", "trees", "widths"]


@pytest.mark.parametrize("path", ORDERS, ids=NAMES)
def test_an_order_can_be_posted(path: Path, folder: Path) -> None:
    order = load(path, Order)
    made = prepare(order, folder)
    spec = specified(order, made)
    data = write_spec(spec)
    assert read_spec(data, unixfs.root(data).digest) == spec
    genesis = unixfs.root(made.genesis)
    check_terms(terms(order, NOW, unixfs.root(data), genesis, unixfs.root(made.progress).digest), NOW)  # type: ignore[arg-type]
    assert codec.decode(made.genesis, spec.layout).layout == layout(spec.architecture)
    assert spec.pipeline.summed.layout.size >= 1
    assert sum(order.budgets()) == 600 * 10**18 and len(made.sealed) == order.milestones
    for shard in (made.progress, *made.sealed):
        assert shards.read(shard).features.shape[1] == order.data_schema.width


def test_an_adapters_order_names_the_model_in_its_file(folder: Path) -> None:
    order = load(ROOT / "examples" / "orders" / "lora.toml", Order)
    made = prepare(order, folder)
    assert isinstance(made.architecture, Lora) and made.architecture.weights == unixfs.root(made.adapted)
    assert made.adapted == (folder / "base.safetensors").read_bytes()
    assert specified(order, made).architecture == made.architecture


def test_what_does_not_hold_that_model_is_refused(folder: Path) -> None:
    order, file = load(ROOT / "examples" / "orders" / "lora.toml", Order), folder / "base.safetensors"
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(FormatError, match="base.safetensors does not hold the model that the adapter's base declares"):
        prepare(order, folder)
    file.write_bytes(codec.encode(initial(Mlp(4, (3,), 1), 1)))
    with pytest.raises(FormatError, match="does not know"):
        prepare(order, folder)
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read .* as the model that its adapter adapts"):
        prepare(order, folder)


def test_a_texts_baseline_is_its_commonest_byte(folder: Path) -> None:
    order = load(ROOT / "examples" / "orders" / "transformer.toml", Order)
    made = prepare(order, folder)
    assert made.against == "always the commonest token"
    spaces = b"to be or not to be, that is the question: ".count(b" ") / 42
    assert made.baseline == pytest.approx(1e6 * spaces, rel=0.05)
    own = prepare(replace(order, held=replace(order.held, baseline=0.5)), folder)
    assert (own.baseline, own.against) == (500_000, "the order's own baseline")
    (folder / "held.txt").write_bytes(b"to be")
    with pytest.raises(DataError, match="too short for a context of 32"):
        prepare(order, folder)
