"""A trainer whose training is a Flower ClientApp's: the job's tensors under the app's names, the app's answer as this site's change."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from hansa.core.encoding import decode, encode
from hansa.core.errors import ConfigError, DataError, FormatError, ProtocolError
from hansa.core.types import Address, Digest
from hansa.learning.examples import Examples
from hansa.learning.schema import Schema
from hansa.learning.strategy import Declared, Strategy, Vectors, derive_seed
from hansa.model.architectures import Lora
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState, Vector, checked
from hansa.node.config import FlowerConfig, Scalar
from hansa.node.node import Parts
from hansa.node.trainer import TrainerNode
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec
from hansa.runtime.flower import FlowerPool

log = logging.getLogger(__name__)

_AT_SITES = ("travels", "fresh", "told", "start", "finish")


class FlowerCall(msgspec.Struct, frozen=True):
    """Kind `train` of the app's process: who and what for, the arrays' names and shapes in the app's order, what app and message are told.

    The only buffer holds the arrays one after the other, float32; the answer's does too. `named`: the app must use these very names.
    """

    job: int
    round: int
    node: int
    arrays: tuple[tuple[str, tuple[int, ...]], ...]
    named: bool
    config: dict[str, Scalar]
    node_config: dict[str, Scalar]
    run_config: dict[str, Scalar]


class FlowerAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many examples the app says that it trained on, None when it does not say."""

    examples: int | None


def app_order(layout: Layout) -> tuple[Tensor, ...]:
    """The tensors as torch and Keras list them: layer by layer, a layer's bias last."""
    return tuple(sorted(layout.tensors, key=lambda tensor: (tensor.name.rpartition(".")[0], tensor.name.endswith(".bias"))))


class Names:
    """The tensors of a layout under an app's names and in its order."""

    def __init__(self, layout: Layout, names: Mapping[str, str]) -> None:
        """`names` from tensor to the app's parameter, all of them or none; ConfigError when they are not the layout's."""
        tensors = {tensor.name: tensor for tensor in app_order(layout)}
        if names and set(names) != set(tensors):
            missing, unknown = sorted(set(tensors) - set(names)), sorted(set(names) - set(tensors))
            first = f"lacks '{missing[0]}'" if missing else f"has '{unknown[0]}'"
            raise ConfigError(f"[flower.names] {first}; the job's tensors are {', '.join(list(tensors)[:8])}{' ...' * (len(tensors) > 8)}")
        names = names or {name: name for name in tensors}
        self.arrays = tuple((mine, tensors[name].shape) for name, mine in names.items())
        spans = {tensor.name: span for tensor, span in layout.spans()}
        self._spans = [spans[name] for name in names]

    def to_app(self, vector: np.ndarray) -> bytes:
        """A flat vector (d,) of the layout as the app's arrays, one after the other, little-endian float32."""
        return np.concatenate([vector[span] for span in self._spans]).astype("<f4", copy=False).tobytes()

    def from_app(self, data: memoryview) -> np.ndarray:
        """Back again; FormatError when it has another size."""
        size = sum(span.stop - span.start for span in self._spans)
        if data.nbytes != 4 * size:
            raise FormatError(f"the Flower app's process answered with {data.nbytes} bytes for {size} values; restart the node")
        values, vector, start = np.frombuffer(data, "<f4"), np.empty(size, np.float32), 0
        for span in self._spans:
            vector[span] = values[start : start + span.stop - span.start]
            start += span.stop - span.start
        return vector


def check_strategy(strategy: Strategy) -> None:
    """DataError unless sites send the change of their weights and nothing else happens there: a ClientApp knows no more."""
    kind = type(strategy)
    if not issubclass(kind, Declared) or any(getattr(kind, part) is not getattr(Declared, part) for part in _AT_SITES):
        name = kind.__struct_config__.tag if issubclass(kind, msgspec.Struct) else kind.__name__
        raise DataError(f"the strategy '{name}' has a part at the sites that a Flower app does not play; the job is left alone")
    if strategy.local.proximal:
        raise DataError("the strategy has a proximal term, which a Flower app does not know of; the job is left alone")


def message_config(spec: JobSpec, round: int, seed: int, own: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What comes with a message, under the names that Flower's own strategies and examples use; `own` goes first."""
    local = spec.strategy.local
    length: dict[str, Scalar] = {"local-epochs": local.epochs} if local.epochs else {"local-steps": local.steps}
    return {"server-round": round, "seed": seed, "lr": local.rate, "batch-size": local.batch, **length, **own}


def with_defaults(section: FlowerConfig, home: Path) -> FlowerConfig:
    """The section with what the app's pyproject.toml says under [tool.flwr.app.config] added to `run`, nested names joined by dots."""
    path = home / section.folder / "pyproject.toml"
    if not path.is_file():
        return section
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in ("tool", "flwr", "app", "config"):
            table = table.get(name, {})
        found = msgspec.convert(_flat(table, ""), dict[str, Scalar])
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} says nothing that can be read under [tool.flwr.app.config]: {error}") from error
    return replace(section, run={**found, **section.run})


def _flat(table: Mapping[str, Any], before: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in table.items():
        flat |= _flat(item, f"{before}{name}.") if isinstance(item, dict) else {f"{before}{name}": item}
    return flat


def flower_pool(section: FlowerConfig, home: Path) -> FlowerPool:
    """The app's process, to be started; relative paths are relative to the node's folder."""
    return FlowerPool(home / section.python, section.app, home / section.folder)


def node_number(account: Address) -> int:
    """A node's number as Flower has it, 63 bits, the same at every start."""
    return int(account[2:18], 16) >> 1


class FlowerTrainer(TrainerNode):
    """Its workers are a `FlowerPool`; the app reads the site's data itself, so that `rows` only count and are named."""

    def __init__(
        self, parts: Parts, schema: Schema, rows: Examples, digest: Digest, *, disclose_rows: bool, flower: FlowerConfig
    ) -> None:  # fmt: skip
        super().__init__(parts, schema, rows, digest, disclose_rows=disclose_rows)
        self._flower, self._count = flower, len(rows)

    async def check_eligible(self, job: JobState, spec: JobSpec) -> None:
        """Besides the columns, the strategy must be plain, the model whole, and the names those of the job's tensors."""
        await super().check_eligible(job, spec)
        check_strategy(spec.strategy)
        if isinstance(spec.architecture, Lora):
            raise DataError("the job trains an adapter of a frozen model, which a Flower app is not given; the job is left alone")
        Names(spec.layout, self._flower.names)

    async def change(
        self, job: JobState, spec: JobSpec, round: int, base: ModelState, told: Vectors, kept: Vectors
    ) -> tuple[Vector, Vectors]:
        if self.parts.workers is None:
            raise ProtocolError("this trainer was composed without workers")
        check_strategy(spec.strategy)
        flower, names = self._flower, Names(spec.layout, self._flower.names)
        config = message_config(spec, round, derive_seed(spec.seed, round, self.account), flower.train)
        call = FlowerCall(
            job.id, round, node_number(self.account), names.arrays, bool(flower.names), config, flower.node, flower.run
        )  # fmt: skip
        vector = names.to_app(base.vector)
        header, buffers = await self.parts.workers.run("train", encode(call), [vector], timeout=flower.time_limit)
        examples = decode(header, FlowerAnswer).examples
        if examples is not None and examples != self._count:
            log.warning("the app trained on other rows than [data] has", extra={"app": examples, "data": self._count})
        if len(buffers) != 1:
            raise FormatError(f"the Flower app's process answered with {len(buffers)} buffers, not 1; restart the node")
        return checked(names.from_app(buffers[0]) - base.vector, spec.layout.size, "the Flower app's change"), kept
