"""A node's own configuration file: who it is, which chain it follows, where it listens, and, for a trainer, where its rows are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from hansa.core.config import load
from hansa.core.errors import ConfigError
from hansa.learning.schema import Schema

Scalar = str | int | float | bool
MAX_TIME_LIMIT = 7 * 86_400.0
RoleName = Literal["trainer", "coordinator", "verifier", "client"]


class ChainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """JSON-RPC endpoints in order of preference, and the deployment file that pins chain id, genesis and addresses."""

    endpoints: tuple[str, ...]
    deployment: str


class KeyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keystore (v3) of the account's key, a file that holds its password, and the folder of transport key and certificate."""

    keystore: str
    password_file: str
    transport: str


class ListenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 0


class DataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site's own rows: a CSV, NPZ, Parquet or text file, its schema, and the file with the 32-byte salt of its digest (R17).

    `disclose_rows` lets the number of rows be the weight of the site's updates where a job allows weights; without it the weight is 1 (R9).
    """

    path: str
    data_schema: Schema = msgspec.field(name="schema")
    salt_file: str = "salt"
    disclose_rows: bool = False


class FlowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Flower ClientApp that trains in place of this node's worker: `app` (module:attribute) in `folder`, run by the Python at `python`.

    `names` gives each tensor of the job's architecture the app's name for it, in the app's order; without it the app's names are the
    tensors' own, in `app_order`. `node` and `run` are what the app finds in its context, `train` what comes with every message; `run`
    goes before what the app's pyproject.toml says. `time_limit` is in seconds, for one round.
    """

    python: str
    app: str
    folder: str
    names: dict[str, str] = {}
    node: dict[str, Scalar] = {}
    run: dict[str, Scalar] = {}
    train: dict[str, Scalar] = {}
    time_limit: float = 3600.0


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node. Relative paths are relative to the file's folder, where the node's state lives too.

    `share`: the part of a model's width, above 0 and at most 1, that the device trains in jobs of partial widths.
    `auto_enrol`: take a seat in every job that fits; a `standby` coordinator does so only behind another one.
    """

    name: str
    role: RoleName
    chain: ChainConfig
    key: KeyConfig
    listen: ListenConfig = ListenConfig()
    device: str = "cpu"
    share: float = 1.0
    data: DataConfig | None = None
    flower: FlowerConfig | None = None
    auto_enrol: bool = True
    standby: bool = False


def load_node(path: Path) -> NodeConfig:
    """The configuration in `path`; ConfigError names the file, the field and what it must be."""
    loaded = load(path, NodeConfig)
    if loaded.role == "trainer" and loaded.data is None:
        raise ConfigError(f"{path}: a trainer needs a [data] table that names its file and schema")
    if not 0 < loaded.share <= 1:
        raise ConfigError(f"{path}: share is {loaded.share}; a device trains a part of a model's width above 0 and at most 1")
    if loaded.flower is not None:
        _check_flower(path, loaded.role, loaded.flower)
    if not loaded.chain.endpoints:
        raise ConfigError(f"{path}: [chain] names no endpoint; give at least one")
    return loaded


def _check_flower(path: Path, role: RoleName, section: FlowerConfig) -> None:
    module, _, attribute = section.app.partition(":")
    if role != "trainer":
        raise ConfigError(f"{path}: a {role} does not train; only a trainer has a [flower] table")
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        raise ConfigError(f"{path}: [flower] app is {section.app!r}; write it as module:attribute, for example client_app:app")
    if len(set(section.names.values())) != len(section.names):
        raise ConfigError(f"{path}: [flower.names] gives two tensors the same name; each has one of its own")
    if not 0 < section.time_limit <= MAX_TIME_LIMIT:
        raise ConfigError(f"{path}: [flower] time_limit is {section.time_limit}; it must be above 0 and at most {MAX_TIME_LIMIT:g} seconds")
